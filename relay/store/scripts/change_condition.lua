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
-- SHARED: condition
local before = redis.call('HGET', conditions, endpoint) or ''
local is = read_condition(before) or {since = 0, opens = 0, until_ms = 0, asked = 0, probe = 0, opened = 0, prober = ''}
now, time = tonumber(now), tonumber(time)
-- A worker that does not know yet that the server's clock was set back is ahead of it, and so are its times.
local CLOCK_STEP_MS = 1000
local clock = redis.call('TIME')
local ahead = now - (clock[1] * 1000 + math.floor(clock[2] / 1000))
if ahead > CLOCK_STEP_MS then now, time = now - ahead, math.max(0, time - ahead) end

if verb == 'failing' then
  if is.since == 0 or time < is.since then is.since = time end
elseif verb == 'open' then
  -- One that others have opened meanwhile is open once.
  if is.opens <= tonumber(opens) then
    if is.opens == 0 then is.opened = now end
    is.opens, is.until_ms = tonumber(opens) + 1, math.max(is.until_ms, time)
    if is.since == 0 then is.since = now end
  end
  if is.prober == session then is.probe, is.prober = 0, '' end
elseif verb == 'rest' then
  is.asked = math.max(is.asked, time)
elseif verb == 'probe' then
  if is.opens > 0 and is.until_ms <= now and (is.probe <= now or is.prober == session) then
    is.probe, is.prober = now + tonumber(lives), session
  end
elseif verb == 'well' then
  is = {since = 0, opens = 0, until_ms = 0, asked = is.asked, probe = 0, opened = 0, prober = ''}
end
if is.asked <= now then is.asked = 0 end

local text = (is.since > 0 or is.opens > 0 or is.asked > 0) and write_condition(is) or ''
if text == before then return text end
if text == '' then
  redis.call('HDEL', conditions, endpoint)
else
  redis.call('HSET', conditions, endpoint, text)
end
if verb ~= 'probe' then redis.call('PUBLISH', channel, endpoint .. ' ' .. session) end
return text
