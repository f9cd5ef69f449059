using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace NetdumpCollector.Collector.Http.Access;

/// <summary>One line of the audit log; its JSON is a published format.</summary>
/// <param name="Event">download.begun, download.ended, change.attempted, change.ended or denied.</param>
/// <param name="Who">Name of the token, - for nobody known.</param>
/// <param name="Role">The token's, or null.</param>
/// <param name="Address">Where the request came from.</param>
/// <param name="Method">Of the request.</param>
/// <param name="Path">Of the request, without what follows a question mark.</param>
internal sealed record AuditEntry(string Event, string Who, string? Role, string? Address, string Method, string Path)
{
    private const int MaxPathChars = 256;

    /// <summary>The dump that it is about.</summary>
    public string? Dump { get; init; }

    /// <summary>Of the answer.</summary>
    public int? Status { get; init; }

    /// <summary>Bytes of the file that were given to the connection.</summary>
    public long? Bytes { get; init; }

    /// <summary>What became of it, in words; null while that is not known.</summary>
    public string? Result { get; init; }

    /// <summary>Denied attempts since the line before that have no line of their own.</summary>
    public long? NotListed { get; init; }

    public static AuditEntry Of(string what, HttpContext context)
    {
        var caller = Caller.Of(context);
        string path = context.Request.Path.Value ?? "";
        return new(what, caller.Name, caller.Token is { } token ? AccessPolicy.NameOf(token.Role) : null, caller.Address?.ToString(), context.Request.Method,
            path.Length <= MaxPathChars ? path : path[..MaxPathChars]);
    }

    /// <summary>The line with its end. Control characters, and all that is not ASCII, are escaped: a path is a stranger's.</summary>
    public byte[] ToLine(DateTimeOffset now)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteString("time"u8, now.UtcDateTime);
            json.WriteString("event"u8, Event);
            json.WriteString("who"u8, Who);
            json.WriteString("role"u8, Role);
            json.WriteString("address"u8, Address);
            json.WriteString("method"u8, Method);
            json.WriteString("path"u8, Path);
            json.WriteString("dump"u8, Dump);
            Write(json, "status"u8, Status);
            Write(json, "bytes"u8, Bytes);
            json.WriteString("result"u8, Result);
            if (NotListed is > 0 and long notListed)
                json.WriteNumber("notListed"u8, notListed);
            json.WriteEndObject();
        }

        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ReadOnlySpan<byte> name, long? number)
    {
        if (number is long value)
            json.WriteNumber(name, value);
        else
            json.WriteNull(name);
    }
}
