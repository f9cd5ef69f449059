using System.Text.Json;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage;

/// <summary>Writes manifests, byte for byte as the serializer would.</summary>
/// <remarks>By hand, because the serializer's first use costs as much processor time as half of the server's start, and each process writes manifests while dumps arrive.</remarks>
internal static class ManifestWriter
{
    public static byte[] ToUtf8(Manifest manifest)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new() { Indented = true }))
            Write(json, manifest);
        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }

    private static void Write(Utf8JsonWriter json, Manifest manifest)
    {
        json.WriteStartObject();
        json.WriteNumber("schema"u8, manifest.Schema);
        json.WriteString("id"u8, manifest.Id);
        json.WriteString("client"u8, manifest.Client);
        json.WriteString("host"u8, manifest.Host);
        json.WriteNumber("index"u8, manifest.Index);
        json.WriteString("startedAt"u8, manifest.StartedAt.UtcDateTime);
        json.WriteString("endedAt"u8, manifest.EndedAt.UtcDateTime);
        json.WriteNumber("durationSeconds"u8, manifest.DurationSeconds);
        json.WriteString("status"u8, Word(manifest.Status.ToString()));
        json.WriteString("reason"u8, Word(manifest.Reason.ToString()));
        json.WriteString("error"u8, manifest.Error);
        json.WriteNumber("bytes"u8, manifest.Bytes);
        json.WriteNumber("coveredBytes"u8, manifest.CoveredBytes);
        Write(json, manifest.Endpoint);
        json.WriteNumber("packets"u8, manifest.Packets);
        json.WriteNumber("retransmissions"u8, manifest.Retransmissions);
        json.WriteNumber("bursts"u8, manifest.Bursts);
        json.WriteNumber("quietBursts"u8, manifest.QuietBursts);
        json.WriteNumber("acks"u8, manifest.Acks);
        json.WriteNumber("rejected"u8, manifest.Rejected);
        json.WriteNumber("payloadBytes"u8, manifest.PayloadBytes);
        json.WriteNumber("packetPayloadBytes"u8, manifest.PacketPayloadBytes);
        Write(json, manifest.Kdh);
        Write(json, "missing"u8, manifest.Missing);
        json.WriteNumber("missingBytes"u8, manifest.MissingBytes);
        json.WriteNumber("missingRanges"u8, manifest.MissingRanges);
        Write(json, "damaged"u8, manifest.Damaged);
        Write(json, "overwritten"u8, manifest.Overwritten);
        Write(json, "unverified"u8, manifest.Unverified);
        json.WriteNumber("unverifiedBytes"u8, manifest.UnverifiedBytes);
        json.WriteNumber("unverifiedRanges"u8, manifest.UnverifiedRanges);
        json.WriteBoolean("relocated"u8, manifest.Relocated);
        json.WriteString("sha256"u8, manifest.Sha256);
        json.WriteString("hashState"u8, Word(manifest.HashState.ToString()));
        Write(json, manifest.Script);
        json.WriteBoolean("scriptPending"u8, manifest.ScriptPending);
        json.WriteString("truncatedBy"u8, manifest.TruncatedBy);
        json.WriteBoolean("pinned"u8, manifest.Pinned);
        if (manifest.Node is not null)
            json.WriteString("node"u8, manifest.Node);
        Write(json, manifest.Continues);
        if (manifest.Stitching)
            json.WriteBoolean("stitching"u8, true);
        if (manifest.Within is { } whole)
        {
            json.WriteStartObject("within"u8);
            json.WriteString("id"u8, whole.Id);
            json.WriteString("node"u8, whole.Node);
            json.WriteEndObject();
        }

        if (manifest.KeyMissing is not null)
            Write(json, "keyMissing"u8, manifest.KeyMissing);
        Write(json, manifest.Epoch, manifest.Segments);
        Write(json, manifest.Stored);
        json.WriteStartObject("files"u8);
        json.WriteString("vmcore"u8, manifest.Files.Vmcore);
        json.WriteString("info"u8, manifest.Files.Info);
        json.WriteString("key"u8, manifest.Files.Key);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, int? epoch, IReadOnlyList<ManifestSegment>? segments)
    {
        if (epoch is int its)
            json.WriteNumber("epoch"u8, its);
        if (segments is null)
            return;
        json.WriteStartArray("segments"u8);
        foreach (var segment in segments)
        {
            json.WriteStartObject();
            json.WriteNumber("epoch"u8, segment.Epoch);
            json.WriteString("node"u8, segment.Node);
            json.WriteNumber("bytes"u8, segment.Bytes);
            json.WriteNumber("ranges"u8, segment.Ranges);
            if (segment.Id is not null)
                json.WriteString("id"u8, segment.Id);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, DumpContinuation? continues)
    {
        if (continues is null)
            return;
        json.WriteStartObject("continues"u8);
        json.WriteString("id"u8, continues.Id);
        json.WriteString("node"u8, continues.Node);
        json.WriteNumber("epoch"u8, continues.Epoch);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ManifestEndpoint endpoint)
    {
        json.WriteStartObject("endpoint"u8);
        json.WriteString("mode"u8, endpoint.Mode);
        json.WriteString("address"u8, endpoint.Address);
        json.WriteNumber("port"u8, endpoint.Port);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ManifestKdh? kdh)
    {
        if (kdh is null)
        {
            json.WriteNull("kdh"u8);
            return;
        }

        json.WriteStartObject("kdh"u8);
        json.WriteBoolean("valid"u8, kdh.Valid);
        json.WriteBoolean("parityPasses"u8, kdh.ParityPasses);
        json.WriteString("magic"u8, kdh.Magic);
        json.WriteString("architecture"u8, kdh.Architecture);
        json.WriteNumber("version"u8, kdh.Version);
        json.WriteNumber("architectureVersion"u8, kdh.ArchitectureVersion);
        json.WriteNumber("dumpLength"u8, kdh.DumpLength);
        json.WriteString("dumpTime"u8, kdh.DumpTime.UtcDateTime);
        json.WriteNumber("dumpKeySize"u8, kdh.DumpKeySize);
        json.WriteNumber("blockSize"u8, kdh.BlockSize);
        json.WriteString("compression"u8, kdh.Compression);
        json.WriteString("hostname"u8, kdh.Hostname);
        json.WriteString("versionString"u8, kdh.VersionString);
        json.WriteString("panicString"u8, kdh.PanicString);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ReadOnlySpan<byte> name, IReadOnlyList<ByteRange> ranges)
    {
        json.WriteStartArray(name);
        for (int i = 0; i < ranges.Count; i++)
        {
            json.WriteStartObject();
            json.WriteNumber("start"u8, ranges[i].Start);
            json.WriteNumber("end"u8, ranges[i].End);
            json.WriteNumber("length"u8, ranges[i].Length);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, ManifestScript? script)
    {
        if (script is null)
        {
            json.WriteNull("script"u8);
            return;
        }

        json.WriteStartObject("script"u8);
        json.WriteString("path"u8, script.Path);
        json.WriteString("reason"u8, script.Reason);
        if (script.ExitCode is int exitCode)
            json.WriteNumber("exitCode"u8, exitCode);
        else
            json.WriteNull("exitCode"u8);
        json.WriteBoolean("timedOut"u8, script.TimedOut);
        json.WriteString("startedAt"u8, script.StartedAt.UtcDateTime);
        json.WriteNumber("durationSeconds"u8, script.DurationSeconds);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ManifestStored? stored)
    {
        if (stored is null)
            return;
        json.WriteStartObject("stored"u8);
        json.WriteString("url"u8, stored.Url);
        json.WriteString("at"u8, stored.At.UtcDateTime);
        json.WriteString("vmcore"u8, stored.Vmcore);
        json.WriteString("compression"u8, Word(stored.Compression.ToString()));
        json.WriteString("encryption"u8, Word(stored.Encryption.ToString()));
        json.WriteNumber("bytes"u8, stored.Bytes);
        json.WriteString("sha256"u8, stored.Sha256);
        json.WriteString("eTag"u8, stored.ETag);
        json.WriteEndObject();
    }

    private static string Word(string name) => JsonNamingPolicy.CamelCase.ConvertName(name);
}
