-- Tallies: attempts of an endpoint by their marks, as relay.domain.tallies has them. A hash counts the minute and the hour
-- under way. What ended stands in two lists, as text: a tenth of the memory of a key for each. Uses `prefix` and `at_ms`.
local TALLY = {minutes = 180, hours = 336, lives = 1296000000, fails = 86400000}
-- A count that is damaged must not stop a lane: it begins anew.
local function add(tally, field, number)
  if type(redis.pcall('HINCRBY', tally, field, number)) == 'table' then redis.call('HSET', tally, field, 0) end
end
local function keep_ended(unit, endpoint, number, marks)
  if #marks == 0 then return end
  local list = prefix .. 'tally_' .. unit .. ':' .. endpoint
  redis.call('RPUSH', list, number .. ' ' .. table.concat(marks, ','))
  redis.call('LTRIM', list, 0 - TALLY[unit], -1)
  redis.call('PEXPIRE', list, TALLY.lives)
end
-- Ends the minute `before`, and maybe its hour, so that `minute` can begin.
local function turn_minute(tally, endpoint, before, minute)
  local fields, marks, hour = redis.call('HGETALL', tally), {}, {}
  for i = 1, #fields, 2 do
    local mark = string.match(fields[i], '^m(%d+)$')
    if mark then
      marks[#marks + 1] = mark .. ':' .. fields[i + 1]
      redis.call('HDEL', tally, fields[i])
      add(tally, 'h' .. mark, fields[i + 1])
    end
  end
  keep_ended('minutes', endpoint, before, marks)
  if math.floor(before / 60) ~= math.floor(minute / 60) then
    fields = redis.call('HGETALL', tally)
    for i = 1, #fields, 2 do
      local mark = string.match(fields[i], '^h(%d+)$')
      if mark then hour[#hour + 1] = mark .. ':' .. fields[i + 1] end
    end
    redis.call('DEL', tally)
    keep_ended('hours', endpoint, math.floor(before / 60), hour)
  end
  redis.call('ZREMRANGEBYSCORE', prefix .. 'failing', '-inf', at_ms - TALLY.fails)
end
-- A clock that was set back a little does not end a minute twice.
local function begin_minute(tally, endpoint)
  local minute, before = math.floor(at_ms / 60000), tonumber(redis.call('HGET', tally, 'at') or '')
  if before and minute <= before and minute >= before - 2 then return end
  if before then turn_minute(tally, endpoint, before, minute) end
  redis.call('HSET', tally, 'at', minute)
  redis.call('PEXPIRE', tally, TALLY.lives)
end
-- Counts the marks at `first` to `last_one` of the arguments, each followed by its number.
local function tally_marks(endpoint, first, last_one)
  local tally, has_failed = prefix .. 'tally:' .. endpoint, false
  begin_minute(tally, endpoint)
  for i = first, last_one, 2 do
    add(tally, 'm' .. ARGV[i], ARGV[i + 1])
    has_failed = has_failed or string.sub(ARGV[i], 1, 1) ~= '2'
  end
  if has_failed then redis.call('ZADD', prefix .. 'failing', at_ms, endpoint) end
end
