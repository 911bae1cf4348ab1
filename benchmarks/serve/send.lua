-- Sends photographs by turns with wrk; arguments: folder with the bodies, content type.
-- Prints what was found as one line of JSON.
local bodies, at = {}, 0

function init(args)
  local folder = args[1]
  local index = io.open(folder .. "/index.txt", "r")
  for name in index:lines() do
    local file = io.open(folder .. "/" .. name, "rb")
    bodies[#bodies + 1] = file:read("*a")
    file:close()
  end
  index:close()
  wrk.method = "POST"
  wrk.headers["Content-Type"] = args[2]
end

function request()
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, '
    .. '"bad_statuses": %d, "broken": %d, "timeouts": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
