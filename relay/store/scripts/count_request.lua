#!lua flags=allow-oom
-- Count a request against the quota of a key or an address. Of a key, also note its use and look for its application.
-- KEYS: 1 the bucket, a string with the time up to which its quota is used, in µs; of a key also 2 last uses (hash),
--   3 applications (hash), 4 keys (hash), or the key of a token of the portal
-- ARGV: 1 requests a minute; of a key also 2 its id ('admin': it is a setting), 3 its application ('' every one), 4 ms
--   now, 5 '1' if it is a token of the portal
-- RETURNS: {1 counted or 0 too many, requests that are left, µs until there is another one}, or {-1} the key or its
--   application is gone
-- ATOMIC BECAUSE every process counts in the same bucket, and no use is noted of a key that was just deleted.
-- A generic cell rate algorithm: a bucket holds a minute's requests, and refills evenly.
local bucket, uses, applications, keys = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local limit, key, application, at, is_portal = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local minute = 60000000
local step = minute / limit

if key then
  if is_portal and redis.call('EXISTS', keys) == 0 then return {-1} end
  if key ~= 'admin' and not is_portal and redis.call('HEXISTS', keys, key) == 0 then return {-1} end
  if application ~= '' and redis.call('HEXISTS', applications, application) == 0 then return {-1} end
  if not is_portal then redis.call('HSET', uses, key, at) end
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local used = math.min(math.max(tonumber(redis.call('GET', bucket) or '0'), now), now + minute)
local after = used + step
if after - now > minute + 1 then return {0, 0, math.max(1, math.ceil(after - now - minute))} end
redis.call('SET', bucket, string.format('%.0f', after), 'PX', 60000)
local left = math.floor((minute - (after - now)) / step + 0.000001)
return {1, left, math.ceil(math.max(1, step))}
