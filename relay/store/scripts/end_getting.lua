#!lua flags=allow-oom
-- Give back the right to get a token, if this worker still has it.
-- KEYS: 1 the right
-- ARGV: 1 the text that the worker put there
-- RETURNS: 1, or 0 when another worker has the right, or none
-- ATOMIC BECAUSE the right of another worker must stay.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
