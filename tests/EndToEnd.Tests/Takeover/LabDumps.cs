using System.Diagnostics;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text.Json;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.EndToEnd.Tests.Takeover;

/// <summary>Kernels that dump to the virtual address of a <see cref="TakeoverLab"/>, as one ndblast plays them.</summary>
/// <param name="First">Address of the first.</param>
/// <param name="Count">How many; their addresses follow each other.</param>
/// <param name="Kibibytes">What each dumps.</param>
/// <param name="FirstContent">Makes the first one's content; those after it have the next ones.</param>
internal sealed record LabLoad(Ipv4 First, int Count, int Kibibytes, int FirstContent = 0);

/// <summary>What clients of a <see cref="TakeoverLab"/> send, and what must be there afterwards.</summary>
[UnsupportedOSPlatform("windows")]
internal static class LabDumps
{
    /// <summary>Kernels that are paced, so that their dumps last, and share ack bits, dump to the virtual address.</summary>
    /// <param name="lab">Where they are.</param>
    /// <param name="load">What they send.</param>
    /// <param name="gaps">File for the times without acks.</param>
    /// <param name="arguments">Other options of ndblast.</param>
    public static Task<CommandResult> SendAsync(TakeoverLab lab, LabLoad load, string gaps, params string[] arguments) => SendToAsync(lab, TakeoverLab.VirtualAddress, load, gaps, arguments);

    /// <summary>The same to a node's own address.</summary>
    public static Task<CommandResult> SendToAsync(TakeoverLab lab, string server, LabLoad load, string gaps, params string[] arguments) =>
        Ndblast.RunInAsync(lab.Clients, server, TakeoverLab.Port, load.First,
            ["-n", Text(load.Count), "-s", $"{Text(load.Kibibytes)}K", "--kernel-pacing", "--alias32", "--content", Text(load.FirstContent), "--gaps", gaps, .. arguments]);

    /// <summary>Every client's dump is there once, complete, and has the bytes that were sent, in the file as in the manifest's hash.</summary>
    /// <param name="lab">Whose store is looked at.</param>
    /// <param name="sent">What was sent; two dumps of one client have different lengths.</param>
    /// <param name="besides">How many dumps there are besides.</param>
    public static async Task AssertWholeAsync(TakeoverLab lab, IReadOnlyCollection<LabLoad> sent, int besides = 0)
    {
        var catalog = DumpCatalog.Read(lab.Store);
        foreach (var load in sent)
        {
            for (int i = 0; i < load.Count; i++)
            {
                string client = new Ipv4(load.First.Value + (uint)i).ToString();
                var manifests = catalog.Dumps.Where(dump => dump.Manifest.Client == client && dump.Manifest.Kdh?.DumpLength == (ulong)load.Kibibytes * 1024).ToArray();
                Assert.True(manifests.Length == 1, $"{client} has {manifests.Length} dumps of {load.Kibibytes} KiB instead of one: {string.Join(", ", manifests.Select(dump => dump.VmcorePath))}");
                var (path, manifest) = (manifests[0].VmcorePath, manifests[0].Manifest);
                Assert.True(manifest.Status == DumpStatus.Complete, $"{path} of {client}: {manifest}");
                var verified = await Ndblast.VerifyAsync(path, (uint)(load.FirstContent + i), load.Kibibytes);
                Assert.True(verified.ExitCode == 0, $"{path} of {client} differs: {verified.Output}");
                if (manifest.HashState != HashState.Pending)
                    Assert.True(manifest.Sha256 == Ndblast.HashOf((uint)(load.FirstContent + i), load.Kibibytes), $"{path} of {client}: hash {manifest.Sha256}, {manifest.HashState}");
            }
        }

        Assert.Equal(sent.Sum(load => load.Count) + besides, catalog.Dumps.Count);
        Assert.Empty(catalog.Problems);
    }

    /// <summary>Waits until no dump lingers, what dead nodes left has ended and all hashes are known; then only the dumps' own files are left.</summary>
    public static async Task SettledAsync(TakeoverLab lab)
    {
        var deadline = TimeSpan.FromMinutes(4);
        long start = Stopwatch.GetTimestamp();
        // Nobody takes what a dead node left before its client has given up, and a minute more: the clients are done, so that much has passed.
        await CommandResult.RunAsync("touch", ["--no-dereference", "--no-create", "--date", "10 minutes ago", lab.Store + "/.running", .. LeftOvers(lab).Select(name => Path.Combine(lab.Store, name))]);
        while (LeftOvers(lab) is { Length: > 0 } || DumpCatalog.Read(lab.Store).Dumps.Any(dump => dump.Manifest.HashState == HashState.Pending))
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < deadline, $"not within {deadline}: what running dumps had is gone and all hashes are known; {string.Join(' ', LeftOvers(lab))}");
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        }
    }

    /// <summary>Names that only running dumps have.</summary>
    public static string[] LeftOvers(TakeoverLab lab)
    {
        // Not by recursion: what .running has are links, which would be followed.
        string running = Path.Combine(lab.Store, ".running");
        var all = new EnumerationOptions { AttributesToSkip = 0 };
        return
        [
            .. Directory.GetFileSystemEntries(lab.Store, "*", all).Select(path => Path.GetFileName(path)!)
                .Where(name => name.StartsWith("partial.", StringComparison.Ordinal) || name.EndsWith(".tmp", StringComparison.Ordinal)),
            // Each node keeps its file of heralds there, and its sign of life.
            .. Directory.Exists(running) ? Directory.GetFileSystemEntries(running, "*", all).Select(path => Path.GetRelativePath(lab.Store, path)).Where(path => !path.Contains("/heralds.", StringComparison.Ordinal) && !path.Contains("/node.", StringComparison.Ordinal)) : [],
        ];
    }

    /// <summary>How many segments the manifest of <paramref name="client"/>'s dump tells of; 1 where it tells of none.</summary>
    public static int SegmentsOf(TakeoverLab lab, string client)
    {
        string manifest = Directory.GetFiles(lab.Store, "dump.*.json", SearchOption.AllDirectories).Single(path => DumpOf(path).GetProperty("client").GetString() == client);
        return DumpOf(manifest).TryGetProperty("segments", out var segments) && segments.ValueKind == JsonValueKind.Array ? segments.GetArrayLength() : 1;
    }

    /// <summary>How long clients got no ack after the virtual address had moved, in seconds: one number for each client that was waiting then.</summary>
    /// <param name="gaps">A file that <see cref="SendAsync"/> filled.</param>
    /// <param name="moves">When the address had moved, by <see cref="Stopwatch.GetTimestamp"/>, in order.</param>
    public static double[] SilencesAfter(string gaps, IReadOnlyList<long> moves)
    {
        // Both count nanoseconds of CLOCK_MONOTONIC.
        Assert.Equal(1_000_000_000, Stopwatch.Frequency);
        var silences = new List<double>();
        foreach (string[] gap in File.ReadLines(gaps).Select(line => line.Split(' ')))
        {
            long begin = long.Parse(gap[1], CultureInfo.InvariantCulture), end = long.Parse(gap[2], CultureInfo.InvariantCulture);
            // The node that the address moved to may have died in turn.
            long last = moves.LastOrDefault(move => move >= begin && move <= end);
            if (last > 0)
                silences.Add((end - last) / 1e9);
        }

        return [.. silences.Order()];
    }

    private static JsonElement DumpOf(string manifest)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(manifest));
        return document.RootElement.Clone();
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
