#!lua
-- Say what became of a request that holds its idempotency key.
-- KEYS: 1 what is known of the key (hash)
-- ARGV: 1 the token of the run, 2 'refused' (it changed nothing), 'failed' (nobody knows), or the sealed answer
-- RETURNS: 1, or 0: another run has the key
-- ATOMIC BECAUSE a run that took too long must not speak for the one that took the key after it.
local known, token, outcome = KEYS[1], ARGV[1], ARGV[2]
if redis.call('HGET', known, 'token') ~= token then return 0 end
if outcome == 'refused' then
  redis.call('DEL', known)
else
  redis.call('HDEL', known, 'token', 'until')
  if outcome ~= 'failed' then redis.call('HSET', known, 'answer', outcome) end
end
return 1
