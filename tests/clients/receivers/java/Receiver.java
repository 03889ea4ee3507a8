// Maven: com.standardwebhooks:standardwebhooks:1.1.0, com.fasterxml.jackson.core:jackson-databind:2.20.0
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.standardwebhooks.Webhook;
import com.standardwebhooks.exceptions.WebhookVerificationException;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.stream.Stream;

public class Receiver {
    // After a rotation: of the new secret and of the old one.
    static final List<Webhook> VERIFIERS = Stream.of(System.getenv("WEBHOOK_SECRETS").split(" ")).map(Webhook::new).toList();
    static final Path INBOX = Path.of(System.getenv().getOrDefault("INBOX", "inbox"));
    static final Path NEW = INBOX.resolve("new"), DONE = INBOX.resolve("done");
    static final int LIMIT = 4 << 20;

    static boolean isGenuine(byte[] body, Headers headers) {
        for (Webhook verifier : VERIFIERS) {
            try {
                verifier.verify(new String(body, StandardCharsets.UTF_8), headers);
                return headers.getFirst("webhook-id").matches("[\\w-]{1,64}");
            } catch (WebhookVerificationException e) {
                continue;
            }
        }
        return false;
    }

    // 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
    static int receive(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readNBytes(LIMIT + 1); // the raw bytes: verify, then parse
        if (body.length > LIMIT) return 413;
        if (!isGenuine(body, exchange.getRequestHeaders())) return 401;
        String id = exchange.getRequestHeaders().getFirst("webhook-id");
        if (!Files.exists(DONE.resolve(id))) { // a duplicate is answered 204, too
            Path part = Files.write(INBOX.resolve(UUID.randomUUID() + ".part"), body);
            Files.move(part, NEW.resolve(id), StandardCopyOption.ATOMIC_MOVE);
        }
        return 204;
    }

    static void work(Path file) { // run one worker: it processes each webhook-id once, and tries again what failed
        Path done = DONE.resolve(file.getFileName());
        try {
            if (!Files.exists(done)) {
                handle(new ObjectMapper().readTree(Files.readAllBytes(file)));
                Files.createFile(done);
            }
            Files.delete(file);
        } catch (Exception e) {
            System.out.println(file + " failed: " + e);
        }
    }

    static void handle(JsonNode event) { // your code: write the row `key` if `revision` is higher than what you have
        JsonNode data = event.path("data"), row = data.path("trigger"); // rowId and key are texts, and stay so
        JsonNode talked = row.path("bridgeDuration"); // a number, but a text if Infinity sent something else
        boolean answered = row.path("callStage").asText().equals("bridge") || (talked.isNumber() && talked.asDouble() > 0);
        System.out.printf("%s %s %d %s%n", event.path("type").asText(), data.path("key").asText(),
            data.path("revision").asLong(), answered ? "answered" : "-");
    }

    public static void main(String[] args) throws Exception {
        Files.createDirectories(NEW);
        Files.createDirectories(DONE);
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "9000"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/", exchange -> {
            try (exchange) {
                exchange.sendResponseHeaders(receive(exchange), -1);
            }
        });
        server.start();
        for (;; Thread.sleep(1000)) {
            try (Stream<Path> files = Files.list(NEW)) {
                files.forEach(Receiver::work);
            }
        }
    }
}
