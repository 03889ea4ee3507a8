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

local function earlier(text)
  local ms = tonumber(text)
  return ms == 0 and '0' or string.format('%.0f', math.max(1, ms - back))
end
local known = redis.call('HGETALL', conditions)
for i = 1, #known, 2 do -- See relay.domain.breaking.Condition.
  local since, opens, until_ms, asked, probe, prober = string.match(known[i + 1], '^1:(%d+):(%d+):(%d+):(%d+):(%d+):(.*)$')
  if since then
    local fields = {'1', earlier(since), opens, earlier(until_ms), earlier(asked), earlier(probe), prober}
    redis.call('HSET', conditions, known[i], table.concat(fields, ':'))
  end
end
return {time[1], time[2], back}
