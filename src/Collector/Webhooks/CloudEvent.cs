using System.Text.Json;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Telemetry.Events;

namespace NetdumpCollector.Collector.Webhooks;

/// <summary>Writes events as CloudEvents.</summary>
/// <remarks>Source: CloudEvents 1.0.2, "JSON Event Format", structured mode.</remarks>
internal static class CloudEvent
{
    public const string ContentType = "application/cloudevents+json";

    /// <param name="what">The event.</param>
    /// <param name="source">Which collector it is from.</param>
    /// <param name="node">Its name in the fleet, which becomes the extension attribute <c>node</c>; null where there is none.</param>
    public static byte[] ToJson(CollectorEvent what, string source, string? node = null)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new() { Encoder = JsonText.Indented.Encoder }))
        {
            json.WriteStartObject();
            json.WriteString("specversion"u8, "1.0"u8);
            json.WriteString("id"u8, what.Id);
            json.WriteString("source"u8, source);
            json.WriteString("type"u8, $"{CommandIo.ProgramName}.{what.Type}");
            json.WriteString("time"u8, what.At.UtcDateTime);
            if (SubjectOf(what) is string subject)
                json.WriteString("subject"u8, subject);
            if (node is not null)
                json.WriteString("node"u8, node);
            json.WriteString("datacontenttype"u8, "application/json"u8);
            json.WriteStartObject("data"u8);
            WriteData(json, what);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return bytes.ToArray();
    }

    private static string? SubjectOf(CollectorEvent what) => what switch
    {
        DumpStarted started => started.DumpId,
        DumpEnded ended => ended.DumpId,
        _ => null,
    };

    private static void WriteData(Utf8JsonWriter json, CollectorEvent what)
    {
        switch (what)
        {
            case DumpStarted started:
                json.WriteString("id"u8, started.DumpId);
                json.WriteString("client"u8, started.Client.ToString());
                json.WriteString("host"u8, started.Host);
                break;
            case DumpEnded ended:
                json.WriteString("id"u8, ended.DumpId);
                json.WriteString("client"u8, ended.Client.ToString());
                json.WriteString("host"u8, ended.Host);
                json.WriteString("status"u8, Word(ended.Status));
                json.WriteString("reason"u8, Word(ended.Reason));
                json.WriteNumber("bytes"u8, ended.Bytes);
                json.WriteNumber("missingBytes"u8, ended.MissingBytes);
                json.WriteString("panic"u8, ended.Panic);
                json.WriteString("file"u8, ended.File);
                json.WriteNumber("durationSeconds"u8, ended.Seconds);
                break;
            case StormDetected storm:
                json.WriteNumber("dumps"u8, storm.Dumps);
                json.WriteNumber("withinSeconds"u8, storm.WithinSeconds);
                break;
        }
    }

    private static string Word<T>(T value) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());
}
