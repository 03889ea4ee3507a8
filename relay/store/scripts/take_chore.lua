#!lua flags=allow-oom
-- Take a chore of upkeep, if no other worker does it.
-- KEYS: 1 the chore
-- ARGV: 1 ms for which it is taken
-- RETURNS: 1, or 0 when another worker has it
-- ATOMIC BECAUSE it is one command; it is a script because a full server refuses that, but not this.
return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0
