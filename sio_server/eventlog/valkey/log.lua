-- The steps of the event log in Valkey or Redis. Each call does one step, completely or not at all.
--
-- KEYS: the log, its events, their ids, the pieces; for `append`, also the node's last append.
-- ARGV: the step; a name for a new epoch, used only if one begins now; the epoch and the seq of the
--       last event that the node has seen; the step's own arguments.
--
-- The log is a hash: its epoch; the seq at which the epoch began (start); the bounds of its seqs
-- (after oldest, up to last); the last timestamp in milliseconds (at). An event is an entry <seq>-0
-- of a stream: type, rooms (one JSON string a line), head (the body before its timestamp), at (the
-- timestamp), id. Answers are JSON.

local LOG, EVENTS, IDS, PIECES, LAST_APPEND = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local STEP, NEW_EPOCH, SEEN_EPOCH, SEEN_SEQ = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local MAX_CHUNK_ENTRIES = 100

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
        redis.call('UNLINK', EVENTS, IDS, PIECES)
        log = {epoch = NEW_EPOCH, start = 0, oldest = 0, last = 0, at = 0}
        redis.call('HSET', LOG, 'epoch', NEW_EPOCH, 'start', 0, 'oldest', 0, 'last', 0, 'at', 0)
    elseif log.epoch == SEEN_EPOCH and log.last < SEEN_SEQ then
        log.epoch, log.start = NEW_EPOCH, log.last
        redis.call('HSET', LOG, 'epoch', log.epoch, 'start', digits(log.start))
    end
    return log
end

local function save(log)
    redis.call('HSET', LOG,
        'oldest', digits(log.oldest), 'last', digits(log.last), 'at', digits(log.at))
end

-- Remove the oldest events beyond the retention: those that are neither among the newest
-- `max_events` nor have a timestamp of `oldest_at` or later. Stop after `max_removed` events, and
-- before the first event that the node has not seen, because that event is on its way to the node's
-- tail. Return how many were removed.
local function trim(log, max_removed, max_events, oldest_at)
    local seen = log.epoch == SEEN_EPOCH and SEEN_SEQ or 0
    local removed, chunk, may_have_more = 0, 2, true
    while may_have_more and removed < max_removed do
        chunk = math.min(chunk * 2, MAX_CHUNK_ENTRIES, max_removed - removed)
        local entries = redis.call(
            'XRANGE', EVENTS, entry_id(log.oldest + 1), '+', 'COUNT', chunk)
        local ids = {}
        for _, entry in ipairs(entries) do
            local old = event(entry)
            if old.seq > seen or (old.seq > log.last - max_events and old.at >= oldest_at) then
                break
            end
            table.insert(ids, old.id)
            log.oldest = old.seq
        end
        if #ids > 0 then
            redis.call('HDEL', IDS, unpack(ids))
        end
        removed = removed + #ids
        may_have_more = #ids == chunk
    end
    if removed > 0 then
        redis.call('XTRIM', EVENTS, 'MINID', entry_id(log.oldest + 1))
    end
    return removed
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

-- Append events, and remove about as many if they exceed the retention. A repeated append changes
-- nothing and gets the first answer again.
-- ARGV: the append's number; how long to remember the append, in milliseconds; the time now; the
-- retention's max_events and oldest_at; how many events to remove beyond the number that it adds, at
-- most; and for each event its id, type, piece, rooms, state ('' if the piece is deleted) and head.
local function append()
    local number, memory, now, max_events, oldest_at, max_extra =
        tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]),
        tonumber(ARGV[10])
    local before = redis.call('HMGET', LAST_APPEND, 'number', 'answer')
    if before[1] and tonumber(before[1]) >= number then
        if tonumber(before[1]) > number then
            return redis.error_reply('ERR a later append of this node was executed before')
        end
        return before[2]
    end
    local log = find_log()
    log.at = math.max(log.at, now)
    local answer = {epoch = log.epoch, first = log.last + 1, at = log.at, earlier = {}}
    for n = 11, #ARGV, 6 do
        local id, type, piece, rooms, state, head = unpack(ARGV, n, n + 5)
        local seq = redis.call('HGET', IDS, id)
        local entry = seq and redis.call('XRANGE', EVENTS, entry_id(seq), entry_id(seq))[1]
        if entry then
            local earlier = event(entry)
            answer.earlier[id] = {earlier.seq, earlier.at, earlier.type, earlier.head}
        else
            log.last = log.last + 1
            redis.call('XADD', EVENTS, entry_id(log.last), 'type', type,
                'rooms', all_rooms(rooms, redis.call('HGET', PIECES, piece)),
                'head', head, 'at', digits(log.at), 'id', id)
            redis.call('HSET', IDS, id, digits(log.last))
            if state == '' then
                redis.call('HDEL', PIECES, piece)
            else
                redis.call('HSET', PIECES, piece, state)
            end
        end
    end
    trim(log, log.last - answer.first + 1 + max_extra, max_events, oldest_at)
    save(log)
    local encoded = cjson.encode(answer)
    redis.call('HSET', LAST_APPEND, 'number', digits(number), 'answer', encoded)
    redis.call('PEXPIRE', LAST_APPEND, memory)
    return encoded
end

local function has_any(rooms, requested)
    for room in string.gmatch(rooms, '[^\n]+') do
        if requested[room] then
            return true
        end
    end
    return false
end

-- Read events and the log's state. ARGV: the epoch and the seq after which to read (epoch '': from
-- the oldest event); the maximum number of events; how many to examine at most; after how many
-- bytes to stop; and the requested rooms (none: all). In the answer, `examined` is the last seq
-- that the read examined.
local function read()
    local epoch, after, limit, max_examined, bytes_left =
        ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
    local reads_all_rooms = #ARGV < 10
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
    for n = 10, #ARGV do
        requested[ARGV[n]] = true
    end
    local stop = math.min(after + max_examined, log.last)
    while after < stop and #answer.events < limit and bytes_left > 0 do
        local count = MAX_CHUNK_ENTRIES
        if reads_all_rooms then
            count = math.min(count, limit - #answer.events)
        end
        local entries = redis.call(
            'XRANGE', EVENTS, entry_id(after + 1), entry_id(stop), 'COUNT', count)
        if #entries == 0 then
            return redis.error_reply('ERR events are missing from the log')
        end
        for _, entry in ipairs(entries) do
            local found = event(entry)
            after = found.seq
            if reads_all_rooms or has_any(found.rooms, requested) then
                table.insert(answer.events, {after, found.at, found.type, found.rooms, found.head})
                bytes_left = bytes_left - #found.head
                if #answer.events == limit or bytes_left <= 0 then
                    break
                end
            end
        end
    end
    answer.examined = after
    return cjson.encode(answer)
end

-- Remove events beyond the retention. ARGV: the retention's max_events and oldest_at; how many
-- events to remove at most. Return how many were removed.
local function sweep()
    local log = find_log()
    local removed = trim(log, tonumber(ARGV[7]), tonumber(ARGV[5]), tonumber(ARGV[6]))
    if removed > 0 then
        save(log)
    end
    return digits(removed)
end

return ({append = append, read = read, sweep = sweep})[STEP]()
