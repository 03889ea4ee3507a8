#!lua flags=allow-oom
-- Say when the next poll slice of a source should run. As a script, it shares a round trip with others.
-- KEYS: 1 times of the next slices
-- ARGV: 1 source, 2 the time in ms
-- RETURNS: 1
-- ATOMIC BECAUSE it is one command.
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
