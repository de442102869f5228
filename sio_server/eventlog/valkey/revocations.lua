-- The revocations of tokens in Valkey or Redis.
--
-- KEYS: the revocations, a stream whose entries have the time of their `add` as their id.
-- ARGV: the step; how long a revocation is kept, in milliseconds; the step's own arguments.

local REVOCATIONS, STEP = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local OLDEST = math.max(
    0, tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[2]))

local function milliseconds(id)
    return tonumber(string.match(id, '^%d+'))
end

-- Add a revocation, and remove the entries that are too old.
-- ARGV: the subject; the time; and the issuer, if there is one.
local function add()
    local issuer = ARGV[5] and {'iss', ARGV[5]} or {}
    redis.call('XADD', REVOCATIONS, 'MINID', string.format('%.0f', OLDEST), '*',
        'sub', ARGV[3], 'before', ARGV[4], unpack(issuer))
end

-- Return the entries of the stream after an id that are not too old.
-- ARGV: the id ('': from the oldest); how many at most.
local function read()
    local after = ARGV[3]
    local last = redis.call('XREVRANGE', REVOCATIONS, '+', '-', 'COUNT', 1)[1]
    if not last then
        return {}
    end
    local start = string.format('%.0f', OLDEST)
    -- If the last entry is older than the last one that the node has seen, an older state of the
    -- stream was restored. Then the node gets all entries again.
    local is_restored = after ~= '' and milliseconds(last[1]) < milliseconds(after)
    if after ~= '' and not is_restored and milliseconds(after) >= OLDEST then
        start = '(' .. after
    end
    return redis.call('XRANGE', REVOCATIONS, start, '+', 'COUNT', ARGV[4])
end

return ({add = add, read = read})[STEP]()
