# gem install standardwebhooks:1.1.0 rack puma; puma -b tcp://127.0.0.1:9000
require "fileutils"
require "json"
require "securerandom"
require "standardwebhooks"

# After a rotation: of the new secret and of the old one.
VERIFIERS = ENV.fetch("WEBHOOK_SECRETS").split.map { |secret| StandardWebhooks::Webhook.new(secret) }
INBOX = ENV.fetch("INBOX", "inbox")
LIMIT = 4 << 20

def genuine?(body, headers)
  VERIFIERS.any? do |verifier|
    verifier.verify(body, headers)
    headers["webhook-id"].match?(/\A[\w-]{1,64}\z/)
  rescue StandardError # the library raises other errors than its own for odd headers
    false
  end
end

# 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
def receive(env)
  body = env["rack.input"].read(LIMIT + 1) || "" # the raw bytes: verify, then parse
  return 413 if body.bytesize > LIMIT

  headers = %w[webhook-id webhook-timestamp webhook-signature].to_h { |name| [name, env["HTTP_#{name.upcase.tr("-", "_")}"]] }
  return 401 unless genuine?(body, headers)

  id = headers["webhook-id"]
  unless File.exist?("#{INBOX}/done/#{id}") # a duplicate is answered 204, too
    part = "#{INBOX}/#{SecureRandom.uuid}.part"
    File.binwrite(part, body)
    File.rename(part, "#{INBOX}/new/#{id}")
  end
  204
end

def work(file) # run one worker: it processes each webhook-id once, and tries again what failed
  done = "#{INBOX}/done/#{File.basename(file)}"
  unless File.exist?(done)
    handle(JSON.parse(File.read(file, encoding: "UTF-8")))
    FileUtils.touch(done)
  end
  File.delete(file)
rescue StandardError => e
  puts "#{file} failed: #{e.message}"
end

def handle(event) # your code: write the row `key` if `revision` is higher than what you have
  data = event["data"] || {}
  row = data["trigger"] || {} # rowId and key are texts, and stay so
  talked = row["bridgeDuration"] # a number, but a text if Infinity sent something else
  answered = row["callStage"] == "bridge" || (talked.is_a?(Numeric) && talked.positive?)
  puts [event["type"], data["key"], data["revision"], answered ? "answered" : "-"].join(" ")
end

$stdout.sync = true
FileUtils.mkdir_p(%w[new done].map { |name| "#{INBOX}/#{name}" })
Thread.new do
  loop do
    Dir.glob("#{INBOX}/new/*").each { |file| work(file) }
    sleep 1
  end
end
run ->(env) { [receive(env), {}, []] }
