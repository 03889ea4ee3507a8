-- A condition as relay.domain.breaking.Condition has it: the numbers `since`, `opens`, `until_ms`, `asked`, `probe` and
-- `opened`, and the session that probes. Version 1 is that of the release before, and has no `opened`.
local function read_condition(text)
  local numbers, prober = string.match(text, '^2:(%d+:%d+:%d+:%d+:%d+:%d+):(.*)$')
  if not numbers then
    numbers, prober = string.match(text, '^1:(%d+:%d+:%d+:%d+:%d+):(.*)$')
    numbers = numbers and numbers .. ':0'
  end
  if not numbers then return nil end
  local read = {}
  for number in string.gmatch(numbers, '%d+') do read[#read + 1] = tonumber(number) end
  return {since = read[1], opens = read[2], until_ms = read[3], asked = read[4], probe = read[5], opened = read[6], prober = prober}
end
local function write_condition(of)
  return string.format('2:%.0f:%.0f:%.0f:%.0f:%.0f:%.0f:%s', of.since, of.opens, of.until_ms, of.asked, of.probe, of.opened, of.prober)
end
