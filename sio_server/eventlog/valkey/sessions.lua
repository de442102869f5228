-- Sessions in Valkey or Redis: a hash each, of its owner and its data, which only the owner changes,
-- and left, where that is gone.
--
-- KEYS: the session's; for a touch, those of many. ARGV: the step; how long the session lives from
-- now; the step's own arguments.

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

-- A put that comes late, by a connection that was cut, must not undo a take.
function steps.put()
    if redis.call('EXISTS', KEY) == 0 or is_owned() then
        write(ARGV[4])
    end
end

-- ARGV: ..., the channel to tell it on, what to tell.
function steps.take()
    local data = redis.call('HGET', KEY, 'data')
    if data then
        write(data)
        redis.call('HDEL', KEY, 'left')
        redis.call('PUBLISH', ARGV[4], ARGV[5])
    end
    return data
end

function steps.change()
    return is_owned() and write(ARGV[4]) or 0
end

function steps.leave()
    if not is_owned() then
        return 0
    end
    redis.call('HSET', KEY, 'left', '')
    return write(ARGV[4])
end

steps['end'] = function()
    return is_owned() and redis.call('DEL', KEY) or 0
end

-- Let the sessions live on whose owners still are; ARGV: ..., an owner for each key. Return who
-- owns each of them ('': there is none).
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
