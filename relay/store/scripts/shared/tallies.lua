-- Tallies: attempts of an endpoint by their marks, as relay.domain.tallies has them. A text counts the minute and the hour
-- under way: `{minute} {marks of the minute} {marks of the minutes before it in the same hour}`. What ended stands in two
-- lists. Marks are `{mark}:{count},…`: a tenth of the memory of a key for each.
-- Marks are gathered, so that `write_tallies` reads the texts of a call at once and writes each once. Uses `prefix`,
-- `at_ms` and `UNPACK`.
local TALLY = {minutes = 180, hours = 336, lives = 1296000000, fails = 86400000, successes = '2789'}
local tallied, failed, is_new_minute = {}, {}, false
-- What all endpoints of the stream did together is counted in the same way, under this name.
local EVERY = '*'
-- Counts the marks at `first` to `last_one` of the arguments, each followed by its number.
local function tally_marks(endpoint, first, last_one)
  local counts, all = tallied[endpoint] or {}, tallied[EVERY] or {}
  tallied[endpoint], tallied[EVERY] = counts, all
  for i = first, last_one, 2 do
    counts[ARGV[i]] = (counts[ARGV[i]] or 0) + ARGV[i + 1]
    all[ARGV[i]] = (all[ARGV[i]] or 0) + ARGV[i + 1]
    if not string.find(TALLY.successes, string.sub(ARGV[i], 1, 1), 1, true) then failed[endpoint] = true end
  end
end
-- What is damaged counts nothing.
local function add_marks(counts, text)
  for mark, count in string.gmatch(text, '(%d+):(%d+)') do counts[mark] = (counts[mark] or 0) + count end
end
local function marks_text(counts)
  local marks = {}
  for mark, count in pairs(counts) do marks[#marks + 1] = mark .. ':' .. count end
  return table.concat(marks, ',')
end
local function keep_ended(unit, endpoint, number, marks)
  if marks == '' then return end
  local list = prefix .. 'tally_' .. unit .. ':' .. endpoint
  redis.call('RPUSH', list, number .. ' ' .. marks)
  redis.call('LTRIM', list, 0 - TALLY[unit], -1)
  redis.call('PEXPIRE', list, TALLY.lives)
end
-- Ends the minute `before`, and maybe its hour, so that `minute` can begin; gives the marks of the hour under way.
local function turn_minute(endpoint, before, minute, of_minute, of_hour)
  local hour = {}
  keep_ended('minutes', endpoint, before, of_minute)
  add_marks(hour, of_hour)
  add_marks(hour, of_minute)
  is_new_minute = true
  if math.floor(before / 60) == math.floor(minute / 60) then return marks_text(hour) end
  keep_ended('hours', endpoint, math.floor(before / 60), marks_text(hour))
  return ''
end
local function tally_with(endpoint, text)
  local counts, minute = tallied[endpoint], math.floor(at_ms / 60000)
  local before, of_minute, of_hour = string.match(text, '^(%d+) (%S*) (%S*)$')
  before = tonumber(before or '')
  if not before then
    of_hour = ''
  elseif minute <= before and minute >= before - 2 then
    minute = before -- A clock that was set back a little does not end a minute twice.
    add_marks(counts, of_minute)
  else
    of_hour = turn_minute(endpoint, before, minute, of_minute, of_hour)
  end
  return string.format('%.0f %s %s', minute, marks_text(counts), of_hour)
end
local function write_failed()
  local failing, scored = prefix .. 'failing', {}
  for endpoint in pairs(failed) do
    scored[#scored + 1] = at_ms
    scored[#scored + 1] = endpoint
  end
  for first = 1, #scored, UNPACK do
    redis.call('ZADD', failing, unpack(scored, first, math.min(first + UNPACK - 1, #scored)))
  end
  if #scored > 0 then redis.call('PEXPIRE', failing, TALLY.fails) end
  if is_new_minute then redis.call('ZREMRANGEBYSCORE', failing, '-inf', at_ms - TALLY.fails) end
end
local function write_tallies()
  local endpoints, names = {}, {}
  for endpoint in pairs(tallied) do
    endpoints[#endpoints + 1] = endpoint
    names[#names + 1] = prefix .. 'tally_now:' .. endpoint
  end
  for first = 1, #names, UNPACK do
    local known = redis.call('MGET', unpack(names, first, math.min(first + UNPACK - 1, #names)))
    for i, text in ipairs(known) do
      local at = first + i - 1
      redis.call('SET', names[at], tally_with(endpoints[at], text or ''), 'PX', TALLY.lives)
    end
  end
  write_failed()
end
