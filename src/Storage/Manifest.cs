using System.Text.Json.Serialization;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage;

/// <summary>What is known of an ended dump, for programs: <c>dump.HOST.N.json</c>.</summary>
/// <remarks>Names and meanings are a published format. Later versions only add optional fields; anything else needs another <see cref="Schema"/>.</remarks>
public sealed record Manifest
{
    public const int CurrentSchema = 1;

    public int Schema { get; init; } = CurrentSchema;
    public required string Id { get; init; }

    /// <summary>The client's IPv4 address.</summary>
    public required string Client { get; init; }

    /// <summary>The host as it is in file names.</summary>
    public required string Host { get; init; }

    /// <summary>The number in the file names.</summary>
    public required long Index { get; init; }
    public required DateTimeOffset StartedAt { get; init; }
    public required DateTimeOffset EndedAt { get; init; }
    public required double DurationSeconds { get; init; }
    public required DumpStatus Status { get; init; }

    /// <summary>Why the dump ended.</summary>
    public required EndReason Reason { get; init; }

    /// <summary>The failure in words, when there was one.</summary>
    public string? Error { get; init; }

    /// <summary>Length of the vmcore file.</summary>
    public required ulong Bytes { get; init; }

    /// <summary>Distinct bytes that came; the rest of the file are holes.</summary>
    public required ulong CoveredBytes { get; init; }
    public required ManifestEndpoint Endpoint { get; init; }
    public required long Packets { get; init; }
    public required long Retransmissions { get; init; }
    public required long Bursts { get; init; }

    /// <summary>Bursts that went quiet while incomplete.</summary>
    public required long QuietBursts { get; init; }
    public required long Acks { get; init; }
    public required long Rejected { get; init; }

    /// <summary>Payload bytes received, duplicates included.</summary>
    public required long PayloadBytes { get; init; }

    /// <summary>Payload bytes of a full packet, 0 when unknown.</summary>
    public required int PacketPayloadBytes { get; init; }

    /// <summary>The kernel dump header, null when none came.</summary>
    public ManifestKdh? Kdh { get; init; }

    /// <summary>Holes; <see cref="MissingRanges"/> counts also those not listed.</summary>
    public required IReadOnlyList<ByteRange> Missing { get; init; }
    public required ulong MissingBytes { get; init; }
    public required int MissingRanges { get; init; }

    /// <summary>Where a retransmission carried other bytes than were stored.</summary>
    public required IReadOnlyList<ByteRange> Damaged { get; init; }

    /// <summary>Where a later packet legitimately rewrote stored bytes.</summary>
    public required IReadOnlyList<ByteRange> Overwritten { get; init; }

    /// <summary>Missing ranges of which the file has something, from before the server's machine crashed, that may be right and that nothing vouches for; <see cref="UnverifiedRanges"/> counts also those not listed.</summary>
    /// <remarks>Manifests of versions before lack the field, and the generated reader takes no initializer for it.</remarks>
    public IReadOnlyList<ByteRange> Unverified { get => field ?? []; init; }
    public ulong UnverifiedBytes { get; init; }
    public int UnverifiedRanges { get; init; }

    /// <summary>The first burst came at a stale offset and is stored at offset 0.</summary>
    public required bool Relocated { get; init; }

    /// <summary>SHA-256 of the vmcore file in hexadecimal, null until it is known.</summary>
    public string? Sha256 { get; init; }
    public required HashState HashState { get; init; }

    /// <summary>The script that ran after the dump, null when none has.</summary>
    public ManifestScript? Script { get; init; }

    /// <summary>A script is to run after the dump and has not come to its end: a server that starts runs it, also one that was begun before. Manifests of versions that ran each script once lack the field.</summary>
    public bool ScriptPending { get; init; }

    /// <summary>The policy by which only the first bytes of the dump are stored (one of <c>--keep</c>, or <c>min-free</c> for <c>--min-free</c>), or null.</summary>
    public string? TruncatedBy { get; init; }

    /// <summary>Retention keeps the dump; manifests of versions without pins lack the field, which means that it is not pinned.</summary>
    public bool Pinned { get; init; }

    /// <summary>The node that gave the dump its final names, where nodes share a directory, or that has gone on for it since: its script and hash are that node's to catch up on. The others lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Node { get; init; }

    /// <summary>The dump goes on with one that another node began, or came to its end here after being one's rest; the others lack the field. Parts of one dump name the same one, which itself lacks the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DumpContinuation? Continues { get; init; }

    /// <summary>What other parts of the dump have is being written into the file; bytes that are not missing are right all the same, and nobody knows the file's hash. The others lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Stitching { get; init; }

    /// <summary>The dump that this one is inside of, whole, at another node; those that are part of none, or of none that is whole yet, lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public DumpWhole? Within { get; init; }

    /// <summary>Holes of the key file; those whose key has none, or that have none, lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ByteRange>? KeyMissing { get; init; }

    /// <summary>The owner that ended the dump, where nodes took it over from each other; the others lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Epoch { get; init; }

    /// <summary>What each of these owners received; the others lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<ManifestSegment>? Segments { get; init; }

    /// <summary>Where the dump is in the object store; null where it is in none, or not yet. Those that are not stored lack the field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ManifestStored? Stored { get; init; }

    /// <summary>Names of the files, in the manifest's own directory.</summary>
    public required ManifestFiles Files { get; init; }

    internal static Manifest Of(DumpIdentity identity, CoreNames names, DumpSummary summary, DumpCircumstances circumstances, long lengthBytes) => new()
    {
        Id = identity.Id,
        Continues = identity.Continues,
        Client = identity.Client.ToString(),
        Host = names.Host,
        Index = names.Index,
        StartedAt = identity.StartedAt.ToUniversalTime(),
        EndedAt = circumstances.EndedAt.ToUniversalTime(),
        DurationSeconds = circumstances.Duration.TotalSeconds,
        Status = summary.Status,
        Reason = summary.Reason,
        Error = summary.Error,
        Bytes = (ulong)lengthBytes,
        CoveredBytes = summary.CoveredBytes,
        Endpoint = new(circumstances.Endpoint, circumstances.LocalAddress.ToString(), circumstances.LocalPort),
        Packets = summary.Counters.Packets,
        Retransmissions = summary.Counters.Retransmissions,
        Bursts = summary.Counters.Bursts,
        QuietBursts = summary.Counters.QuietBursts,
        Acks = summary.Counters.Acks,
        Rejected = summary.Counters.Rejected,
        PayloadBytes = summary.Counters.PayloadBytes,
        PacketPayloadBytes = summary.PayloadBytes,
        Kdh = summary.Header is { } header ? ManifestKdh.Of(header) : null,
        Missing = summary.Missing,
        MissingBytes = summary.MissingBytes,
        MissingRanges = summary.MissingRanges,
        Damaged = summary.Damaged,
        Overwritten = summary.Overwritten,
        Unverified = summary.Unverified,
        UnverifiedBytes = summary.UnverifiedBytes,
        UnverifiedRanges = summary.UnverifiedRanges,
        Relocated = summary.Relocated,
        KeyMissing = summary.KeyMissing.Count == 0 ? null : summary.KeyMissing,
        ScriptPending = circumstances.HasScript,
        TruncatedBy = summary.TruncatedBy,
        HashState = circumstances.Hash == HashState.Pending && !DumpHash.IsWorthwhile((ulong)lengthBytes, summary.CoveredBytes) ? HashState.Skipped : circumstances.Hash,
        Files = new(names.Core, names.Info, summary.Key is { IsEmpty: false } ? names.Key : null),
    };
}

/// <summary>What one owner of a dump received that nodes took over from each other, and that no later one received anew.</summary>
/// <param name="Epoch">The owner's number, from 1 on.</param>
/// <param name="Node">Its node.</param>
/// <param name="Bytes">Bytes of the dump.</param>
/// <param name="Ranges">In so many ranges.</param>
public sealed record ManifestSegment(int Epoch, string Node, ulong Bytes, int Ranges)
{
    /// <summary>The id under which that owner's node has its part; null where nodes share a directory, and with it one id.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Id { get; init; }
}

/// <summary>Where the client was answered from.</summary>
/// <param name="Mode">"ephemeral" or "shared".</param>
/// <param name="Address">Local IPv4 address.</param>
/// <param name="Port">Local UDP port.</param>
public sealed record ManifestEndpoint(string Mode, string Address, ushort Port);

/// <summary>The kernel dump header's fields.</summary>
public sealed record ManifestKdh
{
    /// <summary>Magic, version, parity and length are right; otherwise no field can be believed.</summary>
    public required bool Valid { get; init; }
    public required bool ParityPasses { get; init; }
    public required string Magic { get; init; }
    public required string Architecture { get; init; }
    public required uint Version { get; init; }
    public required uint ArchitectureVersion { get; init; }
    public required ulong DumpLength { get; init; }
    public required DateTimeOffset DumpTime { get; init; }
    public required uint DumpKeySize { get; init; }
    public required uint BlockSize { get; init; }

    /// <summary>"none", "gzip", "zstd" or the number.</summary>
    public required string Compression { get; init; }
    public required string Hostname { get; init; }
    public required string VersionString { get; init; }
    public required string PanicString { get; init; }

    internal static ManifestKdh Of(KernelDumpHeader header) => new()
    {
        Valid = header.IsValid,
        ParityPasses = header.ParityPasses,
        Magic = header.Magic,
        Architecture = header.Architecture,
        Version = header.Version,
        ArchitectureVersion = header.ArchitectureVersion,
        DumpLength = header.DumpLength,
        DumpTime = header.DumpTime.ToUniversalTime(),
        DumpKeySize = header.DumpKeySize,
        BlockSize = header.BlockSize,
        Compression = header.Compression.ToString().ToLowerInvariant(),
        Hostname = header.Hostname,
        VersionString = header.VersionString,
        PanicString = header.PanicString,
    };
}

/// <summary>How the script after the dump went.</summary>
/// <param name="Path">The script.</param>
/// <param name="Reason">"success", "timeout" or "error", its first argument.</param>
/// <param name="ExitCode">Null when it did not start or was killed.</param>
/// <param name="TimedOut">It ran longer than it may and was killed.</param>
/// <param name="StartedAt">When it started.</param>
/// <param name="DurationSeconds">How long it ran.</param>
public sealed record ManifestScript(string Path, string Reason, int? ExitCode, bool TimedOut, DateTimeOffset StartedAt, double DurationSeconds);

/// <summary>Where and how a dump is in the object store.</summary>
/// <param name="Url">The folder, <c>s3://bucket/…/</c>.</param>
/// <param name="At">When it was there whole.</param>
/// <param name="Vmcore">The vmcore's object in that folder.</param>
/// <param name="Compression">What the collector did to it on the way.</param>
/// <param name="Encryption">What the collector encrypted it with.</param>
/// <param name="Bytes">Length of that object.</param>
/// <param name="Sha256">SHA-256 of that object in hexadecimal.</param>
/// <param name="ETag">The store's tag of that object.</param>
public sealed record ManifestStored(string Url, DateTimeOffset At, string Vmcore, StoreCompression Compression, StoreEncryption Encryption, long Bytes, string Sha256, string ETag);

/// <summary>File names in the manifest's directory.</summary>
/// <param name="Vmcore">The dump itself; its name tells encryption and compression.</param>
/// <param name="Info">The info file.</param>
/// <param name="Key">The EKCD key blob; null when no key came.</param>
public sealed record ManifestFiles(string Vmcore, string Info, string? Key);

/// <summary>What became of the SHA-256.</summary>
public enum HashState
{
    /// <summary>It is still to be computed.</summary>
    Pending,
    Done,

    /// <summary>Switched off.</summary>
    Off,

    /// <summary>The file is mostly holes; see <see cref="DumpHash.IsWorthwhile"/>.</summary>
    Skipped,

    /// <summary>The file could not be read.</summary>
    Failed,
}

/// <summary>UTC with a Z, as every tool reads it.</summary>
internal sealed class UtcTimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref System.Text.Json.Utf8JsonReader reader, Type typeToConvert, System.Text.Json.JsonSerializerOptions options) =>
        reader.GetDateTimeOffset();

    public override void Write(System.Text.Json.Utf8JsonWriter writer, DateTimeOffset value, System.Text.Json.JsonSerializerOptions options) =>
        writer.WriteStringValue(value.UtcDateTime);
}

/// <summary>Enumerations as words that start with a small letter; numbers are not accepted.</summary>
internal sealed class WordConverter<T>() : JsonStringEnumConverter<T>(System.Text.Json.JsonNamingPolicy.CamelCase, allowIntegerValues: false)
    where T : struct, Enum;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    WriteIndented = true,
    RespectNullableAnnotations = true,
    Converters = [typeof(UtcTimeConverter), typeof(WordConverter<DumpStatus>), typeof(WordConverter<EndReason>), typeof(WordConverter<HashState>), typeof(WordConverter<StoreCompression>), typeof(WordConverter<StoreEncryption>)])]
[JsonSerializable(typeof(Manifest))]
internal sealed partial class ManifestJson : JsonSerializerContext;
