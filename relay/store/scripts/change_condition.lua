#!lua flags=allow-oom
-- Change what is remembered of an endpoint that is not well, for all workers and sources.
-- KEYS: 1 conditions
-- ARGV: 1 endpoint, 2 verb, 3 session, 4 now in ms, 5 how often its breaker was open as far as the session knows,
--   6 a time in ms, 7 ms that the right to probe lasts, 8 channel of conditions
--   failing: it fails since the time · open: its breaker opens (again) until the time · rest: it asked for a rest until the
--   time · probe: the session wants the right to probe · well: its receiver works
-- RETURNS: what is remembered now, see relay.domain.breaking.Condition; '' nothing
-- ATOMIC BECAUSE several workers learn of the same receiver, and one alone may probe.
local conditions = KEYS[1]
local endpoint, verb, session, now, opens, time, lives, channel = unpack(ARGV)
local function number(text) return tonumber(text) or 0 end
local before = redis.call('HGET', conditions, endpoint) or ''
local since, opened, until_ms, asked, probe, prober =
  string.match(before, '^1:(%d+):(%d+):(%d+):(%d+):(%d+):(.*)$')
since, opened, until_ms, asked, probe = number(since), number(opened), number(until_ms), number(asked), number(probe)
prober, now, time = prober or '', tonumber(now), tonumber(time)
-- A worker that does not know yet that the server's clock was set back is ahead of it, and so are its times.
local CLOCK_STEP_MS = 1000
local clock = redis.call('TIME')
local ahead = now - (clock[1] * 1000 + math.floor(clock[2] / 1000))
if ahead > CLOCK_STEP_MS then now, time = now - ahead, math.max(0, time - ahead) end

if verb == 'failing' then
  if since == 0 or time < since then since = time end
elseif verb == 'open' then
  -- One that others have opened meanwhile is open once.
  if opened <= tonumber(opens) then
    opened, until_ms = tonumber(opens) + 1, math.max(until_ms, time)
    if since == 0 then since = now end
  end
  if prober == session then probe, prober = 0, '' end
elseif verb == 'rest' then
  asked = math.max(asked, time)
elseif verb == 'probe' then
  if opened > 0 and until_ms <= now and (probe <= now or prober == session) then
    probe, prober = now + tonumber(lives), session
  end
elseif verb == 'well' then
  since, opened, until_ms, probe, prober = 0, 0, 0, 0, ''
end
if asked <= now then asked = 0 end

local text = ''
if since > 0 or opened > 0 or asked > 0 then
  text = string.format('1:%.0f:%.0f:%.0f:%.0f:%.0f:%s', since, opened, until_ms, asked, probe, prober)
end
if text == before then return text end
if text == '' then
  redis.call('HDEL', conditions, endpoint)
else
  redis.call('HSET', conditions, endpoint, text)
end
if verb ~= 'probe' then redis.call('PUBLISH', channel, endpoint .. ' ' .. session) end
return text
