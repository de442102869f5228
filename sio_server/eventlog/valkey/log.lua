-- The steps of the event log in Valkey or Redis. Each call does one step, completely or not at all.
--
-- KEYS: the log, its events, their ids, the pieces, their seqs, their states, the blocks; for
--       `append`, also the node's last append.
-- ARGV: the step; a name for a new epoch, used only if one begins now; the epoch and the seq of the
--       last event that the node has seen; the step's own arguments.
--
-- The log is a hash: its epoch; the seq at which the epoch began (start); the bounds of its seqs
-- (after oldest, up to last); the last timestamp in milliseconds (at); the end of the last block, and
-- the epoch in which it was written (summarised, summarised_in). An event is an entry <seq>-0
-- of a stream: type, rooms (one JSON string a line), head (the body before its timestamp), at (the
-- timestamp), id, and former (the furniture of the piece's former state) if that state was in other
-- rooms. A piece is a field of the hash PIECES with the rooms of its last known state, a member of
-- the sorted set PIECE_SEQS with the seq of its last event, and a field of the hash STATES with that
-- seq and the furniture. Earlier versions of the server do not know STATES, so a state counts only
-- if its seq is the one of PIECE_SEQS. Answers are JSON.
--
-- A block is a run of consecutive events. Its entry <last seq>-0 of the stream BLOCKS has its first
-- seq, and a hash of each room of its events, so a block without the hash of a room has no event of
-- that room. The nodes make the blocks. A missing block costs only time. Earlier versions do not
-- know BLOCKS and may begin a new log beside it, so blocks count only in the epoch in which they
-- were written.
--
-- Valkey does nothing else while a step runs, so every step examines a bounded number of entries and
-- of bytes. When Valkey's memory is full, it refuses the first write of a step if that write could
-- need memory; after another first write it refuses none. So `append` begins with such a write.

local LOG, EVENTS, IDS, PIECES, PIECE_SEQS, STATES, BLOCKS, LAST_APPEND = unpack(KEYS)
local STEP, NEW_EPOCH, SEEN_EPOCH, SEEN_SEQ = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

-- How many entries one XRANGE returns, at first and at most, because their size is known only
-- afterwards; and how many bytes of entries one step examines, about, at most.
local FIRST_CHUNK_ENTRIES, MAX_CHUNK_ENTRIES, MAX_EXAMINED_BYTES = 8, 32, 1048576

-- How many pieces one step looks at to find those of a log of an earlier version, at most.
local MAX_SAMPLED_PIECES = 50

local function digits(number)
    return string.format('%.0f', number)
end

local function entry_id(seq)
    return digits(seq) .. '-0'
end

-- Return an entry of the stream as an event.
local function event(entry)
    local fields = {seq = tonumber(string.match(entry[1], '^%d+'))}
    for n = 1, #entry[2], 2 do
        fields[entry[2][n]] = entry[2][n + 1]
    end
    fields.at = tonumber(fields.at)
    return fields
end

-- Call `visit` with each entry after a seq up to `stop`, in order, until it returns true or the
-- entries have `max_bytes`. Return the seq of the last entry that was visited; nil if entries are
-- missing.
local function visit_entries(after, stop, max_bytes, visit)
    local bytes, chunk = 0, FIRST_CHUNK_ENTRIES
    while after < stop and bytes < max_bytes do
        local entries = redis.call(
            'XRANGE', EVENTS, entry_id(after + 1), entry_id(stop), 'COUNT', chunk)
        if #entries == 0 then
            return nil
        end
        local bytes_before = bytes
        for _, entry in ipairs(entries) do
            local found = event(entry)
            if visit(found) then
                return found.seq
            end
            after = found.seq
            bytes = bytes + #found.head + #found.rooms + #(found.former or '')
        end
        -- The next entries are probably as long as these.
        local mean = (bytes - bytes_before) / #entries
        chunk = math.min(MAX_CHUNK_ENTRIES, math.ceil((max_bytes - bytes) / mean))
    end
    return after
end

-- Return the log. If there is none, or if its events are lost, start a new log. If the log ends
-- before the last event that the node has seen, an older state was restored: its events stay, and a
-- new epoch begins, so that no new event gets the offset of a lost event.
local function find_log()
    local names = {'epoch', 'start', 'oldest', 'last', 'at'}
    local log = {}
    for n, value in ipairs(redis.call('HMGET', LOG, unpack(names))) do
        log[names[n]] = n == 1 and value or tonumber(value)
    end
    if not log.epoch or redis.call('XLEN', EVENTS) ~= log.last - log.oldest then
        redis.call('UNLINK', EVENTS, IDS, PIECES, PIECE_SEQS, STATES, BLOCKS)
        log = {epoch = NEW_EPOCH, start = 0, oldest = 0, last = 0, at = 0}
        redis.call('HSET', LOG, 'epoch', NEW_EPOCH, 'start', 0, 'oldest', 0, 'last', 0, 'at', 0)
    elseif log.epoch == SEEN_EPOCH and log.last < SEEN_SEQ then
        log.epoch, log.start = NEW_EPOCH, log.last
        -- Reads need the new epoch, even when Valkey's memory is full. It never refuses this write.
        redis.call('HDEL', LOG, 'nothing')
        redis.call('HSET', LOG, 'epoch', log.epoch, 'start', digits(log.start))
    end
    return log
end

local function save(log)
    redis.call('HSET', LOG,
        'oldest', digits(log.oldest), 'last', digits(log.last), 'at', digits(log.at))
end

-- Remove the oldest events beyond the retention: those that are neither among the newest
-- `max_events` nor have a timestamp of `oldest_at` or later. Stop after `max_removed` events or about
-- `max_bytes`, and before the first event that the node has not seen, because that event is on its
-- way to the node's tail. Return whether there may be more to remove.
local function trim(log, max_removed, max_bytes, max_events, oldest_at)
    local last_seen = log.epoch == SEEN_EPOCH and SEEN_SEQ or 0
    local first, ids, may_have_more = log.oldest + 1, {}, true
    -- Most often there is nothing to remove, so the first entry is looked at alone.
    for _, stop in ipairs({first, first + max_removed - 1}) do
        if may_have_more then
            visit_entries(log.oldest, math.min(stop, log.last), max_bytes, function(old)
                local is_kept = old.seq > log.last - max_events and old.at >= oldest_at
                if old.seq > last_seen or is_kept then
                    may_have_more = false
                    return true
                end
                table.insert(ids, old.id)
                log.oldest = old.seq
            end)
        end
    end
    if #ids > 0 then
        redis.call('HDEL', IDS, unpack(ids))
        redis.call('XTRIM', EVENTS, 'MINID', entry_id(log.oldest + 1))
    end
    return may_have_more and log.oldest < log.last
end

-- Forget the pieces whose last event is the oldest, if there are more than `max_pieces`; at most
-- `max_forgotten` of them. Return whether there may be more to forget.
local function forget_pieces(max_pieces, max_forgotten)
    local pieces = redis.call('HLEN', PIECES)
    local excess = pieces - max_pieces
    local count = math.min(excess, max_forgotten)
    if count <= 0 then
        return false
    end
    local forgotten = {}
    if redis.call('ZCARD', PIECE_SEQS) < pieces then
        -- An earlier version of the server stored some pieces without a seq. They go first, so far
        -- as a sample finds them.
        local sample = redis.call('HRANDFIELD', PIECES, math.max(count, MAX_SAMPLED_PIECES))
        for _, piece in ipairs(sample) do
            if #forgotten < count and not redis.call('ZSCORE', PIECE_SEQS, piece) then
                table.insert(forgotten, piece)
            end
        end
    end
    if #forgotten < count then
        for _, piece in ipairs(redis.call('ZRANGE', PIECE_SEQS, 0, count - #forgotten - 1)) do
            table.insert(forgotten, piece)
        end
    end
    if #forgotten > 0 then
        redis.call('HDEL', PIECES, unpack(forgotten))
        redis.call('ZREM', PIECE_SEQS, unpack(forgotten))
        redis.call('HDEL', STATES, unpack(forgotten))
    end
    return excess > count
end

-- Return the rooms of an event and of its piece's last known state, each room once.
local function all_rooms(own, state)
    local rooms = own
    for room in string.gmatch(state or '', '[^\n]+') do
        if not string.find('\n' .. own .. '\n', '\n' .. room .. '\n', 1, true) then
            rooms = rooms .. '\n' .. room
        end
    end
    return rooms
end

-- Store the state in which an event leaves its piece. `rooms` is '' if the event deletes the piece.
local function save_state(piece, seq, rooms, head)
    if rooms == '' then
        redis.call('HDEL', PIECES, piece)
        redis.call('ZREM', PIECE_SEQS, piece)
        redis.call('HDEL', STATES, piece)
    else
        redis.call('HSET', PIECES, piece, rooms)
        redis.call('ZADD', PIECE_SEQS, seq, piece)
        -- The last ',"id":' of a body is the one after the furniture; `.*` takes as much as it can.
        local furniture = string.match(head, '"furniture":(.*),"id":')
        redis.call('HSET', STATES, piece, seq .. ' ' .. furniture)
    end
end

-- Return the furniture of a piece's last known state as JSON, or nil.
local function last_furniture(piece)
    local seq, furniture = string.match(
        redis.call('HGET', STATES, piece) or '', '^(%d+) (.*)$')
    local last_seq = redis.call('ZSCORE', PIECE_SEQS, piece)
    return seq and tonumber(seq) == tonumber(last_seq) and furniture or nil
end

-- Append events, and remove about as many if they exceed the retention. A repeated append changes
-- nothing and gets the first answer again.
-- ARGV: the append's number; how long to remember the append, in milliseconds; the time now; the
-- retention's max_events, oldest_at and max_pieces; how many events to remove beyond the number that
-- it adds, at most; and for each event its id, type, piece, rooms, state ('' if the piece is deleted)
-- and head. Without a new event, this only remembers the append.
local function append()
    local number, memory, now, max_events, oldest_at, max_pieces, max_extra =
        tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]),
        tonumber(ARGV[10]), tonumber(ARGV[11])
    local before = redis.call('HMGET', LAST_APPEND, 'number', 'answer')
    if before[1] and tonumber(before[1]) >= number then
        if tonumber(before[1]) > number then
            return redis.error_reply('ERR a later append of this node was executed before')
        end
        return before[2]
    end
    local log = find_log()
    local at, added_bytes = math.max(log.at, now), 0
    local answer = {epoch = log.epoch, first = log.last + 1, at = at, earlier = {}}
    for n = 12, #ARGV, 6 do
        local id, type, piece, own_rooms, state, head = unpack(ARGV, n, n + 5)
        local seq = redis.call('HGET', IDS, id)
        local entry = seq and redis.call('XRANGE', EVENTS, entry_id(seq), entry_id(seq))[1]
        if entry then
            local earlier = event(entry)
            answer.earlier[id] = {earlier.seq, earlier.at, earlier.type, earlier.head}
        else
            log.last = log.last + 1
            local rooms = all_rooms(own_rooms, redis.call('HGET', PIECES, piece))
            local fields = {'type', type, 'rooms', rooms, 'head', head, 'at', digits(at), 'id', id}
            local former = rooms ~= own_rooms and last_furniture(piece)
            if former then
                table.insert(fields, 'former')
                table.insert(fields, former)
            end
            redis.call('XADD', EVENTS, entry_id(log.last), unpack(fields))
            redis.call('HSET', IDS, id, digits(log.last))
            save_state(piece, digits(log.last), state, head)
            added_bytes = added_bytes + #rooms + #head + #(former or '')
        end
    end
    local added = log.last - answer.first + 1
    if added > 0 then
        log.at = at
        trim(log, added + max_extra, added_bytes + MAX_EXAMINED_BYTES, max_events, oldest_at)
        forget_pieces(max_pieces, added + max_extra)
        save(log)
    end
    local encoded = cjson.encode(answer)
    redis.call('HSET', LAST_APPEND, 'number', digits(number), 'answer', encoded)
    redis.call('PEXPIRE', LAST_APPEND, memory)
    return encoded
end

-- Return the last seq that has a block, or 0.
local function last_summarised(log)
    local epoch, last = unpack(redis.call('HMGET', LOG, 'summarised_in', 'summarised'))
    return epoch == log.epoch and tonumber(last) or 0
end

-- Write blocks that nodes have made, so far as each follows those that the log has. ARGV from 9 on:
-- their epoch; and the first seq, the last seq and the hashes of each. Return the first seq that has
-- no block.
local function write_blocks(log)
    local summarised = last_summarised(log)
    local next_seq, is_written = math.max(summarised, log.oldest) + 1, false
    for n = 10, ARGV[9] == log.epoch and #ARGV or 0, 3 do
        local first, last = tonumber(ARGV[n]), tonumber(ARGV[n + 1])
        if first <= next_seq and next_seq <= last then
            if summarised == 0 and not is_written then
                redis.call('UNLINK', BLOCKS)  -- of an earlier epoch
            end
            local added = redis.pcall(
                'XADD', BLOCKS, entry_id(last), 'first', digits(first), 'rooms', ARGV[n + 2])
            if type(added) ~= 'string' then
                break  -- the memory is full
            end
            next_seq, is_written = last + 1, true
        end
    end
    if is_written then
        redis.call('HSET', LOG, 'summarised', digits(next_seq - 1), 'summarised_in', log.epoch)
    end
    return next_seq
end

-- Return a seq, at least `after`, up to which no later event has a room with one of the hashes, of
-- four bytes each. A chance match of other bytes costs one needless read.
local function skip(log, after, hashes, max_blocks)
    if max_blocks == 0 or after >= last_summarised(log) then
        return after
    end
    local blocks = redis.call('XRANGE', BLOCKS, entry_id(after + 1), '+', 'COUNT', max_blocks)
    for _, block in ipairs(blocks) do
        local _, first, _, summary = unpack(block[2])
        if tonumber(first) > after + 1 then
            return after
        end
        for n = 1, #hashes, 4 do
            if string.find(summary, string.sub(hashes, n, n + 3), 1, true) then
                return after
            end
        end
        after = tonumber(string.match(block[1], '^%d+'))
    end
    return after
end

local function has_any(rooms, requested)
    local start = 1
    while true do
        local line_end = string.find(rooms, '\n', start, true)
        if requested[string.sub(rooms, start, (line_end or 0) - 1)] then
            return true
        elseif not line_end then
            return false
        end
        start = line_end + 1
    end
end

-- Read events and the log's state. ARGV: the epoch and the seq after which to read (epoch '': from
-- the oldest event); the maximum number of events; how many to examine at most; after how many
-- bytes of found events to stop; in how many blocks to look for the requested rooms at most; the
-- hashes of these rooms; and the rooms (none: all). In the answer, `examined` is the last seq that
-- the read examined or skipped.
local function read()
    local epoch, after, limit, max_examined, page_bytes, max_blocks =
        ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]),
        tonumber(ARGV[10])
    local reads_all_rooms = #ARGV < 12
    local log = find_log()
    local answer = {
        epoch = log.epoch, start = log.start, oldest = log.oldest, last = log.last, events = {}
    }
    if epoch == '' then
        after = log.oldest
    elseif epoch ~= log.epoch or after < log.oldest or after > log.last then
        return cjson.encode(answer)
    end
    local requested = {}
    for n = 12, #ARGV do
        requested[ARGV[n]] = true
    end
    local bytes = 0
    local function add_if_requested(found)
        if reads_all_rooms or has_any(found.rooms, requested) then
            local former = found.former or cjson.null
            table.insert(answer.events,
                {found.seq, found.at, found.type, found.rooms, found.head, former})
            bytes = bytes + #found.head + #(found.former or '')
        end
        return #answer.events == limit or bytes >= page_bytes
    end
    local skipped_to = skip(log, after, ARGV[11], max_blocks)
    if skipped_to > after then
        after = skipped_to
    elseif limit > 0 then
        local stop = math.min(after + max_examined, log.last)
        local max_bytes = reads_all_rooms and page_bytes or MAX_EXAMINED_BYTES
        after = visit_entries(after, stop, max_bytes, add_if_requested)
        if not after then
            return redis.error_reply('ERR events are missing from the log')
        end
    end
    answer.examined = after
    return cjson.encode(answer)
end

-- Read the last states of pieces, the latest changed one first, and the log's state. ARGV: the seq
-- before which the last events of the pieces are ('': all); how many pieces to examine at most; and
-- after how many bytes to stop. Each piece comes with the seq of its last event, its rooms and its
-- furniture (null if the log does not know it). `is_end`: there is no further piece.
local function pieces()
    local before, max_examined, page_bytes =
        ARGV[5] == '' and '+inf' or '(' .. ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
    local log = find_log()
    local answer = {
        epoch = log.epoch, start = log.start, oldest = log.oldest, last = log.last, pieces = {}
    }
    local found = redis.call('ZREVRANGEBYSCORE', PIECE_SEQS, before, '-inf',
        'WITHSCORES', 'LIMIT', 0, max_examined)
    local bytes = 0
    for n = 1, #found, 2 do
        local piece, seq = found[n], tonumber(found[n + 1])
        local furniture = last_furniture(piece)
        table.insert(answer.pieces,
            {seq, piece, redis.call('HGET', PIECES, piece) or '', furniture or cjson.null})
        bytes = bytes + #(furniture or '')
        if bytes >= page_bytes then
            break
        end
    end
    answer.is_end = #answer.pieces == #found / 2 and #answer.pieces < max_examined
    return cjson.encode(answer)
end

-- Remove events beyond the retention, and forget pieces. ARGV: the retention's max_events, oldest_at
-- and max_pieces; how many events, and how many pieces, to remove at most; and blocks to write. In
-- the answer, `more` says whether there may be more to remove, and `next` is the first seq that has
-- no block.
local function sweep()
    local log = find_log()
    local oldest, max_removed = log.oldest, tonumber(ARGV[8])
    local may_have_more = trim(
        log, max_removed, MAX_EXAMINED_BYTES, tonumber(ARGV[5]), tonumber(ARGV[6]))
    if log.oldest > oldest then
        save(log)
    end
    may_have_more = forget_pieces(tonumber(ARGV[7]), max_removed) or may_have_more
    local next_seq = write_blocks(log)
    redis.call('XTRIM', BLOCKS, 'MINID', entry_id(log.oldest + 1))
    return cjson.encode({more = may_have_more, epoch = log.epoch, next = next_seq})
end

return ({append = append, read = read, pieces = pieces, sweep = sweep})[STEP]()
