<?php
// composer require standard-webhooks/standard-webhooks
// Receive: php -S 127.0.0.1:9000 receiver.php, or PHP-FPM. Work: php receiver.php
require __DIR__ . '/vendor/autoload.php';

use StandardWebhooks\Webhook;

define('INBOX', getenv('INBOX') ?: 'inbox');
const LIMIT = 4 << 20;

function is_genuine(string $body, array $headers): bool
{
    foreach (explode(' ', getenv('WEBHOOK_SECRETS')) as $secret) { // after a rotation: the new one and the old one
        try {
            (new Webhook($secret))->verify($body, $headers);
            return preg_match('/^[\w-]{1,64}$/D', $headers['webhook-id']) === 1;
        } catch (Throwable) { // the library throws other errors than its own for odd headers
            continue;
        }
    }
    return false;
}

function receive(): int
{
    // 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
    $body = file_get_contents('php://input', length: LIMIT + 1); // the raw bytes: verify, then parse
    if (strlen($body) > LIMIT) {
        return 413;
    }
    $headers = [];
    foreach (['webhook-id', 'webhook-timestamp', 'webhook-signature'] as $name) {
        $headers[$name] = $_SERVER['HTTP_' . strtr(strtoupper($name), '-', '_')] ?? null;
    }
    if (!is_genuine($body, $headers)) {
        return 401;
    }
    $id = $headers['webhook-id'];
    if (!file_exists(INBOX . "/done/$id")) { // a duplicate is answered 204, too
        $part = INBOX . '/' . bin2hex(random_bytes(16)) . '.part';
        if (file_put_contents($part, $body) !== strlen($body) || !rename($part, INBOX . "/new/$id")) {
            return 500;
        }
    }
    return 204;
}

function work(string $file): void // run one worker: it processes each webhook-id once, and tries again what failed
{
    $done = INBOX . '/done/' . basename($file);
    try {
        if (!file_exists($done)) {
            handle(json_decode(file_get_contents($file), true, 64, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING));
            touch($done);
        }
        unlink($file);
    } catch (Throwable $error) {
        echo basename($file), ' failed: ', $error->getMessage(), "\n";
    }
}

function handle(array $event): void // your code: write the row `key` if `revision` is higher than what you have
{
    $data = $event['data'] ?? [];
    $row = $data['trigger'] ?? []; // rowId and key are texts, and stay so
    $talked = $row['bridgeDuration'] ?? null; // a number, but a text if Infinity sent something else
    $answered = ($row['callStage'] ?? '') === 'bridge' || ((is_int($talked) || is_float($talked)) && $talked > 0);
    echo $event['type'] ?? '', ' ', $data['key'] ?? '', ' ', $data['revision'] ?? '', ' ', $answered ? 'answered' : '-', "\n";
}

foreach (['new', 'done'] as $name) {
    is_dir(INBOX . "/$name") || @mkdir(INBOX . "/$name", recursive: true);
}
if (PHP_SAPI !== 'cli') {
    http_response_code(receive());
    return;
}
for (;; sleep(1)) {
    array_map('work', glob(INBOX . '/new/*'));
}
