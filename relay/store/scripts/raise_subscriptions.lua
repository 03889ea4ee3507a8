#!lua flags=allow-oom
-- Say that who gets a source's events changed with a version of the configuration.
-- KEYS: 1 subscriptions
-- ARGV: 1 version
-- RETURNS: the version that stands there now
-- ATOMIC BECAUSE a slower writer must not put an older version over a newer one.
local subscriptions = KEYS[1]
local version = tonumber(ARGV[1])
local standing = tonumber(redis.call('GET', subscriptions) or '0')
if standing >= version then return standing end
redis.call('SET', subscriptions, ARGV[1])
return version
