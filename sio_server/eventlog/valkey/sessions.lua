-- The steps of the session store in Valkey or Redis. A session is a hash with its owner and its
-- data, which only the owner changes; the field `left` is set while the owner is gone.
--
-- KEYS: the session's key; for `touch`, the keys of many sessions.
-- ARGV: the step; how long the session lives from now, in milliseconds; the step's own arguments,
--       of which the first is the owner.

local STEP, LIFETIME, OWNER = ARGV[1], ARGV[2], ARGV[3]
local KEY = KEYS[1]
local steps = {}

local function write(data)
    redis.call('HSET', KEY, 'owner', OWNER, 'data', data)
    redis.call('PEXPIRE', KEY, LIFETIME)
    return 1
end

local function is_owned()
    return redis.call('HGET', KEY, 'owner') == OWNER
end

-- Create a session. ARGV: ..., owner, data. A late request, from a connection that broke, must not
-- undo a claim.
function steps.create()
    if redis.call('EXISTS', KEY) == 0 or is_owned() then
        write(ARGV[4])
    end
end

-- Give a session a new owner, and return its data. ARGV: ..., owner, the channel of superseded
-- sessions, the message to publish there.
function steps.claim()
    local data = redis.call('HGET', KEY, 'data')
    if data then
        write(data)
        redis.call('HDEL', KEY, 'left')
        redis.call('PUBLISH', ARGV[4], ARGV[5])
    end
    return data
end

-- Replace the data. ARGV: ..., owner, data.
function steps.change()
    return is_owned() and write(ARGV[4]) or 0
end

-- Replace the data, and start the lifetime. ARGV: ..., owner, data.
function steps.leave()
    if not is_owned() then
        return 0
    end
    redis.call('HSET', KEY, 'left', '')
    return write(ARGV[4])
end

-- Delete the session. ARGV: ..., owner.
steps['end'] = function()
    return is_owned() and redis.call('DEL', KEY) or 0
end

-- Extend the life of the sessions that still have their owner and were not left.
-- ARGV: ..., an owner for each key. Return the present owner of each session ('': no session).
function steps.touch()
    local owners = {}
    for n, key in ipairs(KEYS) do
        local owner, left = unpack(redis.call('HMGET', key, 'owner', 'left'))
        if owner and owner == ARGV[n + 2] and not left then
            redis.call('PEXPIRE', key, LIFETIME)
        end
        owners[n] = owner or ''
    end
    return owners
end

return steps[STEP]()
