#!lua flags=allow-oom
-- Forget a change of expressions whose task has begun, unless there was another change since.
-- KEYS: 1 changes of expressions (hash)
-- ARGV: 1 field, 2 ms of the change
-- RETURNS: 1, or 0 when there was another change, or none
-- ATOMIC BECAUSE another change must stay.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
