-- The steps of the session store in Valkey or Redis. After its own work, each step moves and drops a
-- bounded number of other sessions; see `settle`.
--
-- KEYS: the totals, the leases, and the three indexes of sessions: connected, brief, long.
-- ARGV: the step; the prefix of the sessions' keys; the length of a lease, the lifetime and the
--       limit for brief sessions, in microseconds; the bounds for the number and the bytes of left
--       sessions; the bytes that count for a session and for a room besides their texts; how many
--       sessions to move and how many to drop at most; the lease of the node; and the step's own
--       arguments.
--
-- A session is a hash: its owner, identity and data; when it was created; its bytes; its group;
-- `left`, if its owner has left it; and for each room the field `/<room>` with the room's number. It
-- is in one index, the one of its group. Times are microseconds on Valkey's clock. The score in the
-- indexes of left sessions is the time since which the owner is gone. The totals are a hash with the
-- bytes of the connected sessions and of the left ones. They change in the same step as the indexes.
--
-- The score in `connected` is the number of a lease. A lease belongs to one node and counts for all of
-- the node's sessions. `leases` is a sorted set: the score of a lease is its end, which the node
-- extends. In an older release, the score in `connected` was itself the end of a lease. The numbers of
-- leases are greater than any time, so nodes of both releases can share the sessions.

local TOTALS = KEYS[1]
local LEASES = KEYS[2]
local INDEXES = {connected = KEYS[3], brief = KEYS[4], long = KEYS[5]}
local STEP, PREFIX = ARGV[1], ARGV[2]
local LEASE_LENGTH, LIFETIME, BRIEF, MAX_SESSIONS, MAX_BYTES, SESSION_BYTES, ROOM_BYTES, MAX_SETTLED =
    tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]),
    tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local LEASE = ARGV[11]
local KEY, OWNER, FIRST = ARGV[12], ARGV[13], 14
local FIELDS = {'owner', 'identity', 'data', 'created', 'bytes', 'group', 'left'}
local MAX_WORDS = 1000 -- of one command
local time = redis.call('TIME')
local NOW = tonumber(time[1]) * 1000000 + tonumber(time[2])
local steps = {}

local function digits(number)
    return string.format('%.0f', number)
end

-- Let a step succeed although Valkey's memory is full. Valkey refuses a step's first write if that
-- may need memory, but not the later writes. This write changes nothing.
local function allow_if_full()
    redis.call('ZREM', INDEXES.connected, '')
end

-- The indexes and the totals.

local function total_name(group)
    return group == 'connected' and group or 'left'
end

local function take_out(session)
    if redis.call('ZREM', INDEXES[session.group], session.key) == 1 then
        redis.call('HINCRBY', TOTALS, total_name(session.group), digits(-session.bytes))
    end
end

local function put_in(session, group, score)
    session.group = group
    redis.call('HSET', PREFIX .. session.key, 'group', group, 'bytes', digits(session.bytes))
    redis.call('ZADD', INDEXES[group], score, session.key)
    redis.call('HINCRBY', TOTALS, total_name(group), digits(session.bytes))
end

local function put_in_left(session, since)
    put_in(session, since - session.created < BRIEF and 'brief' or 'long', digits(since))
end

local function is_alive(lease)
    return tonumber(redis.call('ZSCORE', LEASES, lease) or 0) > NOW
end

-- Put a session in the lease of the node. If that has ended, the session counts as left until the
-- node has a new one.
local function put_in_connected(session)
    if is_alive(LEASE) then
        put_in(session, 'connected', LEASE)
    else
        put_in_left(session, NOW)
    end
end

local function drop(session)
    take_out(session)
    redis.call('UNLINK', PREFIX .. session.key)
end

-- Return a session, or nil. An expired session is dropped. `since` is the time from which its owner is
-- gone; of a connected session, the end of its lease.
local function find(key)
    local session = {key = key}
    for n, value in ipairs(redis.call('HMGET', PREFIX .. key, unpack(FIELDS))) do
        session[FIELDS[n]] = value
    end
    if not session.group then
        return nil
    end
    session.created, session.bytes = tonumber(session.created), tonumber(session.bytes)
    local score = tonumber(redis.call('ZSCORE', INDEXES[session.group], key) or 0)
    local lease_end = session.group == 'connected' and redis.call('ZSCORE', LEASES, digits(score))
    session.since = tonumber(lease_end or score)
    if session.since < NOW - LIFETIME then
        drop(session)
        return nil
    end
    return session
end

local function find_owned()
    local session = find(KEY)
    return session and session.owner == OWNER and session or nil
end

-- The bounds.

local most -- of each of the two groups, once it is known

local function max_bytes()
    if not most then
        local maxmemory = tonumber(string.match(redis.call('INFO', 'memory'), 'maxmemory:(%d+)'))
        most = maxmemory > 0 and math.min(MAX_BYTES, maxmemory / 8) or MAX_BYTES
    end
    return most
end

local function total(name)
    return tonumber(redis.call('HGET', TOTALS, name) or 0)
end

-- Tell whether the connected sessions may grow by a number of bytes. Until the left sessions are
-- within their bound, all sessions together count too.
local function has_space(connected_growth, growth)
    local connected = total('connected')
    return connected + connected_growth <= max_bytes()
        and connected + total('left') + growth <= 2 * max_bytes()
end

local function head(group)
    local key, score = unpack(redis.call('ZRANGE', INDEXES[group], 0, 0, 'WITHSCORES'))
    return key, key and tonumber(score) < NOW - LIFETIME
end

-- Return the key of the next session to drop and its group; nil if there is none.
local function next_to_drop()
    local brief, brief_is_expired = head('brief')
    local long, long_is_expired = head('long')
    if brief_is_expired or not long then
        long = nil
    elseif long_is_expired then
        brief = nil
    end
    local sessions = redis.call('ZCARD', INDEXES.brief) + redis.call('ZCARD', INDEXES.long)
    if brief_is_expired or long_is_expired
        or sessions > MAX_SESSIONS or (sessions > 0 and total('left') > max_bytes()) then
        return brief or long, brief and 'brief' or 'long'
    end
end

-- Move the sessions whose lease has ended to the left ones: their node has ended. Then drop the
-- sessions that are expired or beyond the bounds. Return how many of either kind, at most.
local function settle()
    local lease = redis.call('ZRANGEBYSCORE', LEASES, '-inf', digits(NOW), 'LIMIT', 0, 1)[1]
    local lapsed = redis.call('ZRANGEBYSCORE', INDEXES.connected,
        lease or '-inf', lease or digits(NOW), 'LIMIT', 0, MAX_SETTLED)
    for _, key in ipairs(lapsed) do
        local session = find(key)
        if session then
            take_out(session)
            put_in_left(session, session.since)
        else
            redis.call('ZREM', INDEXES.connected, key)
        end
    end
    if lease and #lapsed < MAX_SETTLED then
        redis.call('ZREM', LEASES, lease)
    end
    local dropped = 0
    while dropped < MAX_SETTLED do
        local key, group = next_to_drop()
        if not key then
            break
        end
        local session = find(key)
        if session then
            drop(session)
        else
            redis.call('ZREM', INDEXES[group], key)
        end
        dropped = dropped + 1
    end
    return math.max(#lapsed, dropped)
end

-- Rooms.

local function call_with(command, words)
    for n = 1, #words, MAX_WORDS do
        redis.call(command, PREFIX .. KEY, unpack(words, n, math.min(n + MAX_WORDS - 1, #words)))
    end
end

-- Write the rooms and numbers from ARGV[first] to ARGV[last].
local function write_rooms(first, last)
    local words = {}
    for n = first, last, 2 do
        table.insert(words, '/' .. ARGV[n])
        table.insert(words, ARGV[n + 1])
    end
    call_with('HSET', words)
end

-- Return by how many bytes a change of rooms makes the session longer. Its arguments from `first`:
-- the number of added rooms, these rooms with their numbers, the removed rooms.
local function growth_by(first)
    local bytes, first_removed = 0, first + 1 + 2 * tonumber(ARGV[first])
    for n = first + 1, first_removed - 1, 2 do
        if not redis.call('HGET', PREFIX .. KEY, '/' .. ARGV[n]) then
            bytes = bytes + ROOM_BYTES + #ARGV[n]
        end
    end
    for n = first_removed, #ARGV do
        if redis.call('HGET', PREFIX .. KEY, '/' .. ARGV[n]) then
            bytes = bytes - ROOM_BYTES - #ARGV[n]
        end
    end
    return bytes
end

-- Change rooms; the arguments are those of `growth_by`.
local function change_rooms(first)
    local first_removed = first + 1 + 2 * tonumber(ARGV[first])
    write_rooms(first + 1, first_removed - 1)
    local removed = {}
    for n = first_removed, #ARGV do
        table.insert(removed, '/' .. ARGV[n])
    end
    call_with('HDEL', removed)
end

-- The steps. ARGV: ..., the key, the owner, and the arguments that are named here. If memory is full,
-- only `create` and added rooms are refused, by their first write.

-- Create a session. ARGV: ..., identity, data, the rooms with their numbers. A late request, from a
-- connection that broke, must not undo a claim. Return 1 if the owner has the session now.
function steps.create()
    local session = find(KEY)
    if session then
        return session.owner == OWNER and 1 or 0
    end
    local identity, data = ARGV[FIRST], ARGV[FIRST + 1]
    local bytes = SESSION_BYTES + #identity + #data
    for n = FIRST + 2, #ARGV, 2 do
        bytes = bytes + ROOM_BYTES + #ARGV[n]
    end
    if not has_space(bytes, bytes) then
        return 0
    end
    session = {key = KEY, created = NOW, bytes = bytes}
    redis.call('HSET', PREFIX .. KEY,
        'owner', OWNER, 'identity', identity, 'data', data, 'created', digits(NOW))
    write_rooms(FIRST + 2, #ARGV)
    put_in_connected(session)
    return 1
end

-- Return a function that tells whether a room is allowed. From ARGV[first]: nothing if every room is;
-- otherwise '/', and then rooms and patterns such as material:*.
local function allowing(first)
    if not ARGV[first] then
        return function() return true end
    end
    local allowed = {}
    for n = first + 1, #ARGV do
        allowed[ARGV[n]] = true
    end
    return function(room)
        return allowed[room] or allowed[(string.match(room, '^[^:]*:') or '') .. '*']
    end
end

-- Give a session a new owner, if its rooms are allowed. ARGV: ..., identity, the channel of superseded
-- sessions, the message to publish there, the arguments of `allowing`. Return its data, and its rooms
-- with their numbers; or nil.
function steps.claim()
    local identity, channel, message = unpack(ARGV, FIRST, FIRST + 2)
    local session = find(KEY)
    if not session or session.identity ~= identity
        or (session.group ~= 'connected' and not has_space(session.bytes, 0)) then
        return false
    end
    local answer = {session.data}
    local fields = redis.call('HGETALL', PREFIX .. KEY)
    local is_allowed = allowing(FIRST + 3)
    for n = 1, #fields, 2 do
        if string.sub(fields[n], 1, 1) == '/' then
            local room = string.sub(fields[n], 2)
            if not is_allowed(room) then
                return false
            end
            table.insert(answer, room)
            table.insert(answer, fields[n + 1])
        end
    end
    take_out(session)
    redis.call('HSET', PREFIX .. KEY, 'owner', OWNER)
    redis.call('HDEL', PREFIX .. KEY, 'left')
    put_in_connected(session)
    redis.call('PUBLISH', channel, message)
    return answer
end

-- Change the rooms. ARGV: ..., the arguments of `growth_by`. Return 1, or 0 if the session is another
-- owner's, or 'full'.
function steps.change()
    local session = find_owned()
    if not session or session.left then
        return 0
    end
    local growth = growth_by(FIRST)
    local connected_growth = growth + (session.group == 'connected' and 0 or session.bytes)
    if connected_growth > 0 and not has_space(connected_growth, growth) then
        return 'full'
    end
    change_rooms(FIRST)
    take_out(session)
    session.bytes = session.bytes + growth
    put_in_connected(session)
    return 1
end

-- Replace the data, change the rooms and start the lifetime. ARGV: ..., data, the arguments of
-- `growth_by`.
function steps.leave()
    local session = find_owned()
    if not session then
        return 0
    end
    take_out(session)
    session.bytes = session.bytes + #ARGV[FIRST] - #session.data + growth_by(FIRST + 1)
    redis.call('HSET', PREFIX .. KEY, 'data', ARGV[FIRST], 'left', '')
    change_rooms(FIRST + 1)
    put_in_left(session, NOW)
    return 1
end

-- Delete the session.
steps['end'] = function()
    local session = find_owned()
    if session then
        drop(session)
    end
    return session and 1 or 0
end

-- Extend a lease, or begin it. ARGV: ..., the lease. Return 1 if it was alive.
function steps.extend()
    allow_if_full()
    local was_alive = is_alive(KEY)
    redis.call('ZADD', LEASES, digits(NOW + LEASE_LENGTH), KEY)
    return was_alive and 1 or 0
end

-- Put sessions that still have their owner in the node's lease, unless the owner has left them. A
-- session whose lease has ended is connected again, if there is space. ARGV: ..., keys, each with an
-- owner. Return the present owner of each session ('': no session).
function steps.touch()
    allow_if_full()
    local owners, may_move = {}, is_alive(LEASE)
    for n = FIRST - 2, #ARGV, 2 do
        local session = find(ARGV[n])
        if may_move and session and session.owner == ARGV[n + 1] and not session.left then
            if session.group == 'connected' then
                redis.call('ZADD', INDEXES.connected, LEASE, session.key)
            elseif has_space(session.bytes, 0) then
                take_out(session)
                put_in_connected(session)
            end
        end
        table.insert(owners, session and session.owner or '')
    end
    return owners
end

-- Only settle. Return how much there was to do.
function steps.sweep()
    return settle()
end

-- Return how many sessions are kept for owners that have left.
function steps.count()
    return redis.call('ZCARD', INDEXES.brief) + redis.call('ZCARD', INDEXES.long)
end

local answer = steps[STEP]()
if STEP ~= 'sweep' and STEP ~= 'count' then
    settle()
end
return answer
