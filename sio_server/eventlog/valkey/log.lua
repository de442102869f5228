-- The event log's steps in Valkey or Redis: each call does one of them, whole or not at all.
--
-- KEYS: the log, its events, their ids, the pieces, the caller's last append.
-- ARGV: the step; a name for an epoch, where one begins now; the epoch and the seq that the caller
--       has seen; the step's own arguments.
--
-- The log is a hash: its epoch, the seq at which that began, the seqs that are kept (after oldest,
-- up to last), the last timestamp in milliseconds. An event is an entry <seq>-0 of a stream: type,
-- rooms (one JSON string a line), head (the body up to its timestamp), at (the timestamp), id.
-- Answers are JSON.

local LOG, EVENTS, IDS, PIECES, APPENDED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local STEP, NEW_EPOCH, SEEN_EPOCH, SEEN_SEQ = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local CHUNK = 100

local function digits(number)
    return string.format('%.0f', number)
end

local function entry_id(seq)
    return digits(seq) .. '-0'
end

-- Return the event that is an entry of the stream.
local function event(entry)
    local fields = {seq = tonumber(string.match(entry[1], '^%d+'))}
    for n = 1, #entry[2], 2 do
        fields[entry[2][n]] = entry[2][n + 1]
    end
    fields.at = tonumber(fields.at)
    return fields
end

-- Return the log. Where there is none, or its events are lost, it begins anew; where it has less
-- than the caller has seen, an older state was restored: what is there stays, but what comes now
-- must not be taken for what was lost, so that another epoch begins.
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

-- Let go of the oldest events, at most so many, that are neither among the newest `keep` nor from
-- `since` or later, and that the caller has seen: they are on their way to its tail otherwise.
-- Return how many went.
local function trim(log, at_most, keep, since)
    local seen = log.epoch == SEEN_EPOCH and SEEN_SEQ or 0
    local gone, chunk, more = 0, 2, true
    while more and gone < at_most do
        chunk = math.min(chunk * 2, CHUNK, at_most - gone)
        local entries = redis.call(
            'XRANGE', EVENTS, entry_id(log.oldest + 1), '+', 'COUNT', chunk)
        local ids = {}
        for _, entry in ipairs(entries) do
            local old = event(entry)
            if old.seq > seen or (old.seq > log.last - keep and old.at >= since) then
                break
            end
            table.insert(ids, old.id)
            log.oldest = old.seq
        end
        if #ids > 0 then
            redis.call('HDEL', IDS, unpack(ids))
        end
        gone = gone + #ids
        more = #ids == chunk
    end
    if gone > 0 then
        redis.call('XTRIM', EVENTS, 'MINID', entry_id(log.oldest + 1))
    end
    return gone
end

-- Return the rooms of an event and of its piece's last known state, each once.
local function all_rooms(own, state)
    local rooms = own
    for room in string.gmatch(state or '', '[^\n]+') do
        if not string.find('\n' .. own .. '\n', '\n' .. room .. '\n', 1, true) then
            rooms = rooms .. '\n' .. room
        end
    end
    return rooms
end

-- Append events. ARGV: the append's number, how long to remember it, now, keep, since, at most how
-- many go beside as many as come; for each event its id, type, piece, rooms, state ('' where the
-- piece is deleted) and head. An append that was done already answers again what it did.
local function append()
    local number, remembered, now, keep, since, at_most =
        tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]),
        tonumber(ARGV[10])
    local before = redis.call('HMGET', APPENDED, 'number', 'answer')
    if before[1] and tonumber(before[1]) >= number then
        if tonumber(before[1]) > number then
            return redis.error_reply('ERR a later append was done already')
        end
        return before[2]
    end
    local log = find_log()
    log.at = math.max(log.at, now)
    local answer = {epoch = log.epoch, first = log.last + 1, at = log.at, known = {}}
    for n = 11, #ARGV, 6 do
        local id, type, piece, rooms, state, head = unpack(ARGV, n, n + 5)
        local seq = redis.call('HGET', IDS, id)
        local known = seq and redis.call('XRANGE', EVENTS, entry_id(seq), entry_id(seq))[1]
        if known then
            local earlier = event(known)
            answer.known[id] = {earlier.seq, earlier.at, earlier.type, earlier.head}
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
    trim(log, log.last - answer.first + 1 + at_most, keep, since)
    save(log)
    local encoded = cjson.encode(answer)
    redis.call('HSET', APPENDED, 'number', digits(number), 'answer', encoded)
    redis.call('PEXPIRE', APPENDED, remembered)
    return encoded
end

local function is_in(rooms, asked)
    for room in string.gmatch(rooms, '[^\n]+') do
        if asked[room] then
            return true
        end
    end
    return false
end

-- Read events, and the log's bounds. ARGV: the epoch and the seq to read after ('': from the
-- oldest), how many at most, how many to examine, bytes after which to stop, and the rooms asked
-- for (none: all). `examined` is how far the read got.
local function read()
    local epoch, after, limit, examined, bytes =
        ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
    local log = find_log()
    local answer = {
        epoch = log.epoch, start = log.start, oldest = log.oldest, last = log.last, events = {}
    }
    if epoch == '' then
        after = log.oldest
    elseif epoch ~= log.epoch or after < log.oldest or after > log.last then
        return cjson.encode(answer)
    end
    local asked = {}
    for n = 10, #ARGV do
        asked[ARGV[n]] = true
    end
    local stop = math.min(after + examined, log.last)
    while after < stop and #answer.events < limit and bytes > 0 do
        local count = math.min(CHUNK, #ARGV < 10 and limit - #answer.events or CHUNK)
        local entries = redis.call(
            'XRANGE', EVENTS, entry_id(after + 1), entry_id(stop), 'COUNT', count)
        if #entries == 0 then
            return redis.error_reply('ERR events are missing from the log')
        end
        for _, entry in ipairs(entries) do
            local found = event(entry)
            after = found.seq
            if #ARGV < 10 or is_in(found.rooms, asked) then
                table.insert(answer.events, {after, found.at, found.type, found.rooms, found.head})
                bytes = bytes - #found.head
                if #answer.events == limit or bytes <= 0 then
                    break
                end
            end
        end
    end
    answer.examined = after
    return cjson.encode(answer)
end

-- Let go of what is beyond the retention. ARGV: keep, since, at most how many go; returns how many.
local function sweep()
    local log = find_log()
    local gone = trim(log, tonumber(ARGV[7]), tonumber(ARGV[5]), tonumber(ARGV[6]))
    if gone > 0 then
        save(log)
    end
    return digits(gone)
end

return ({append = append, read = read, sweep = sweep})[STEP]()
