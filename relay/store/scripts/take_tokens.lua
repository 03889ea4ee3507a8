#!lua flags=allow-oom
-- Take sending rights from the buckets of an endpoint and of its application: as many as every one of them can give.
-- KEYS: one for each bucket, a string with the time up to which its rights are given away, in µs; the last
--       key is never there
-- ARGV: 1 how many are wanted, then the rate of each bucket, per second
-- RETURNS: {rights given, µs until there is another one}
-- ATOMIC BECAUSE several workers take from the same bucket.
-- A generic cell rate algorithm: a bucket holds a tenth of a second's rights, one at least, so that the rate is kept in
-- every short while too.
local wanted = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local given, wait = wanted, 0
local buckets = #KEYS - 1
for i = 1, buckets do
  local key, rate = KEYS[i], tonumber(ARGV[i + 1])
  local step = 1000000 / rate
  local burst = math.max(1, rate / 10) * step
  local taken_until = math.max(tonumber(redis.call('GET', key) or '0'), now)
  given = math.min(given, math.floor((now + burst - taken_until) / step + 0.000001))
  wait = math.max(wait, taken_until + step - burst - now)
end
if given <= 0 then return {0, math.max(1, math.ceil(wait))} end
for i = 1, buckets do
  local key, step = KEYS[i], 1000000 / tonumber(ARGV[i + 1])
  local taken_until = math.max(tonumber(redis.call('GET', key) or '0'), now)
  redis.call('SET', key, string.format('%.0f', taken_until + given * step), 'PX', 60000)
end
return {given, 0}
