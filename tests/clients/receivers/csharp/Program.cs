// dotnet add package StandardWebhooks --version 1.1.2
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using StandardWebhooks;
using StandardWebhooks.Diagnostics;

const int Limit = 4 << 20;
string inbox = Environment.GetEnvironmentVariable("INBOX") ?? "inbox";
string fresh = Path.Combine(inbox, "new"), finished = Path.Combine(inbox, "done");
Directory.CreateDirectory(fresh);
Directory.CreateDirectory(finished);
// After a rotation: of the new secret and of the old one.
var verifiers = Environment.GetEnvironmentVariable("WEBHOOK_SECRETS")!.Split(' ').Select(s => new StandardWebhook(s)).ToArray();

bool IsGenuine(string body, IHeaderDictionary headers)
{
    // One signature at a time: the library can overlook the last one of several.
    foreach (var signature in headers["webhook-signature"].ToString().Split(' '))
    foreach (var verifier in verifiers)
    {
        var one = new HeaderDictionary
        {
            ["webhook-id"] = headers["webhook-id"],
            ["webhook-timestamp"] = headers["webhook-timestamp"],
            ["webhook-signature"] = signature,
        };
        try
        {
            verifier.Verify(body, one);
            return Regex.IsMatch(headers["webhook-id"].ToString(), @"\A[A-Za-z0-9_-]{1,64}\z");
        }
        catch (Exception e) when (e is WebhookVerificationException or ArgumentException) { }
    }
    return false;
}

// 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
async Task<IResult> Receive(HttpRequest request)
{
    using var memory = new MemoryStream();
    await request.Body.CopyToAsync(memory); // the raw bytes: verify, then parse. Kestrel answers 413 above the limit
    byte[] body = memory.ToArray();
    if (!IsGenuine(Encoding.UTF8.GetString(body), request.Headers)) return Results.StatusCode(401);
    string id = request.Headers["webhook-id"].ToString();
    if (!File.Exists(Path.Combine(finished, id))) // a duplicate is answered 204, too
    {
        string part = Path.Combine(inbox, Guid.NewGuid() + ".part");
        await File.WriteAllBytesAsync(part, body);
        File.Move(part, Path.Combine(fresh, id), overwrite: true);
    }
    return Results.StatusCode(204);
}

void Work(string file) // run one worker: it processes each webhook-id once, and tries again what failed
{
    string done = Path.Combine(finished, Path.GetFileName(file));
    try
    {
        if (!File.Exists(done))
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            Handle(document.RootElement);
            File.WriteAllText(done, "");
        }
        File.Delete(file);
    }
    catch (Exception e) { Console.WriteLine($"{file} failed: {e.Message}"); }
}

void Handle(JsonElement body) // your code: write the row `key` if `revision` is higher than what you have
{
    JsonElement Get(JsonElement of, string name) =>
        of.ValueKind == JsonValueKind.Object && of.TryGetProperty(name, out var value) ? value : default;
    var data = Get(body, "data");
    var row = Get(data, "trigger"); // rowId and key are texts, and stay so
    var talked = Get(row, "bridgeDuration"); // a number, but a text if Infinity sent something else
    bool answered = Get(row, "callStage").ToString() == "bridge"
        || (talked.ValueKind == JsonValueKind.Number && talked.GetDouble() > 0);
    Console.WriteLine($"{Get(body, "type")} {Get(data, "key")} {Get(data, "revision")} {(answered ? "answered" : "-")}");
}

var builder = WebApplication.CreateBuilder(args);
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = Limit);
var app = builder.Build();
app.MapPost("/{**path}", Receive);
await app.StartAsync();
while (!app.Lifetime.ApplicationStopping.IsCancellationRequested) // Ctrl-C and SIGTERM end it
{
    foreach (string file in Directory.GetFiles(fresh)) Work(file);
    await Task.Delay(1000);
}
await app.StopAsync();
