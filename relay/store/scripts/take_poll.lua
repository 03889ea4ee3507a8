#!lua
-- Take the lease of a source's poller, if nobody has it, with a new fencing token.
-- KEYS: 1 lease, 2 fence
-- ARGV: 1 ms that the lease lives
-- RETURNS: the token, or 0 when another poller works
-- ATOMIC BECAUSE the token in the lease must be the newest one.
local lease, fence = KEYS[1], KEYS[2]
local lives_ms = ARGV[1]
if redis.call('EXISTS', lease) == 1 then return 0 end
local token = redis.call('INCR', fence)
redis.call('SET', lease, token, 'PX', lives_ms)
return token
