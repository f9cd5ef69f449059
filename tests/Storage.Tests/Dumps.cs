using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests;

/// <summary>Ended dumps as sessions report them.</summary>
internal static class Dumps
{
    public static readonly Ipv4 Client = new(0x0a000207);
    public static readonly DateTimeOffset StartedAt = new(2026, 11, 21, 1, 39, 40, 125, TimeSpan.Zero);

    public static DumpIdentity NewIdentity() => new(DumpId.New(StartedAt), Client, StartedAt);

    public static byte[] Golden(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Golden", name));

    public static KernelDumpHeader Header(ulong length, uint keySize = 0, DumpCompression compression = DumpCompression.None, string panic = "test panic") =>
        KernelDumpHeader.Read(KernelDumpHeader.Create("amd64", length, StartedAt, keySize, 512, compression, "crashy", "FreeBSD 14.0", panic))!;

    public static DumpSummary Complete(ulong length, KernelDumpHeader? header = null) => new()
    {
        Status = DumpStatus.Complete,
        Reason = EndReason.Finished,
        Header = header ?? Header(length),
        LengthBytes = length,
        CoveredBytes = length,
        Missing = [],
        MissingBytes = 0,
        MissingRanges = 0,
        Damaged = [],
        Overwritten = [],
        Relocated = false,
        PayloadBytes = 1448,
        Counters = new() { Packets = 7, PayloadBytes = (long)length, Retransmissions = 1, Acks = 7, Bursts = 2, QuietBursts = 1, Rejected = 3 },
    };

    public static DumpSummary TimedOut(ulong length) => Complete(length) with
    {
        Status = DumpStatus.Incomplete,
        Reason = EndReason.ClientTimedOut,
        Header = null,
    };

    public static DumpCircumstances Circumstances(string host) => new()
    {
        Host = host,
        Endpoint = "ephemeral",
        LocalAddress = Ipv4.Loopback,
        LocalPort = 20100,
        EndedAt = StartedAt.AddSeconds(12.5),
        Duration = TimeSpan.FromSeconds(12.5),
    };

    /// <summary>Bytes that differ from their neighbours and from zero.</summary>
    public static byte[] Pattern(int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
            bytes[i] = (byte)(1 + (i * 31 % 255));
        return bytes;
    }

    /// <summary>Opens a dump and writes <paramref name="content"/> at offset 0.</summary>
    public static DumpFile Receive(DumpDirectory directory, ReadOnlySpan<byte> content, string? heraldPath = null)
    {
        var file = directory.Create(NewIdentity(), default, heraldPath);
        Write(file, 0, content);
        return file;
    }

    public static void Write(DumpFile file, ulong offset, ReadOnlySpan<byte> content)
    {
        using var native = new NativeBytes(content);
        Assert.Equal(1, file.Write([native.Slice(offset, 0, content.Length)], out string? error));
        Assert.Null(error);
    }
}
