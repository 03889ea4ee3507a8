#!lua flags=allow-oom
-- Read the server's clock. If it was set back, so are the times that endpoints wait for.
-- KEYS: 1 clock, 2 conditions
-- ARGV: 1 ms by which a clock may go back without having been set
-- RETURNS: {seconds, microseconds, ms by which it went back since it was read last; 0: it did not}
-- ATOMIC BECAUSE every worker reads the clock, and each step back counts once.
local clock, conditions, noise = KEYS[1], KEYS[2], tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local back = (tonumber(redis.call('GET', clock) or '') or now) - now
redis.call('SET', clock, string.format('%.0f', now))
if back <= noise then return {time[1], time[2], 0} end

-- SHARED: condition
local known = redis.call('HGETALL', conditions)
for i = 1, #known, 2 do
  local is = read_condition(known[i + 1])
  for _, name in ipairs(is and {'since', 'until_ms', 'asked', 'probe', 'opened'} or {}) do
    if is[name] > 0 then is[name] = math.max(1, is[name] - back) end
  end
  if is then redis.call('HSET', conditions, known[i], write_condition(is)) end
end
return {time[1], time[2], back}
