using System.Runtime.Versioning;
using System.Security.Cryptography;
using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Aftermath;

[UnsupportedOSPlatform("windows")]
public sealed class HashActorTests
{
    [Theory, EveryTransport]
    public async Task The_hash_of_an_ended_dump_comes_into_its_manifest(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Hashes = true });
        var dump = new TestDump(500_000);

        collector.NewClient().SendDump(dump);

        await Eventually.Holds(() => collector.Dumps is [{ Manifest.HashState: HashState.Done }], "the hash is there");
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(dump.Content)), Assert.Single(collector.Dumps).Manifest.Sha256);
    }

    [Theory, EveryTransport]
    public async Task Hash_and_script_do_not_overwrite_what_the_other_wrote(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Hashes = true, Script = "exit 0" });
        WireClient[] clients = [.. Enumerable.Range(0, 10).Select(_ => collector.NewClient())];
        foreach (var client in clients)
            client.SendDump(new TestDump(50_000));

        await Eventually.Holds(
            () => collector.Dumps.Count(dump => dump.Manifest is { HashState: HashState.Done, Sha256: not null, Script.ExitCode: 0 }) == clients.Length,
            "every manifest has hash and script");
    }

    [Theory, EveryTransport]
    public async Task Hashes_left_over_by_an_earlier_run_are_computed(string transport)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Hashes = true });
        var dump = new TestDump(50_000);
        collector.NewClient().SendDump(dump);
        await Eventually.Holds(() => collector.Dumps is [{ Manifest.HashState: HashState.Done }], "the hash is there");
        string manifest = Assert.Single(collector.Dumps).ManifestPath;
        ManifestFile.Update(manifest, done => done with { Sha256 = null, HashState = HashState.Pending });

        collector.Hashes!.Tell(new HashActor.HashLeftOvers(collector.Root));

        await Eventually.Holds(() => ManifestFile.Read(manifest) is { HashState: HashState.Done, Sha256.Length: 64 }, "the hash is there again");
    }

    [Fact]
    public async Task Of_a_file_that_was_written_to_meanwhile_the_hash_is_not_noted()
    {
        using var thread = new ThreadDispatcher("hash", 1);
        await using var collector = await RunningCollector.StartAsync(new() { Transport = "portable", Hashes = true });
        collector.NewClient().SendDump(new TestDump(50_000));
        await Eventually.Holds(() => collector.Dumps is [{ Manifest.HashState: HashState.Done }], "the hash is there");
        string manifest = Assert.Single(collector.Dumps).ManifestPath;
        ManifestFile.Update(manifest, done => done with { Sha256 = null, HashState = HashState.Pending });
        using var tried = new SemaphoreSlim(0);
        int reads = 0;
        var hashes = collector.Actors.Spawn<HashActor.Message>("again", thread, () => new HashActor(collector.Log, CancellationToken.None, _ => tried.Release())
        {
            // As one who stitches and was refused everything after its first write.
            OnRead = core => File.SetLastWriteTimeUtc(core, ++reads == 1 ? DateTime.UnixEpoch : File.GetLastWriteTimeUtc(core)),
        }, new());

        hashes.Tell(new HashActor.HashDump(manifest));
        Assert.True(await tried.WaitAsync(Eventually.Deadline));
        Assert.Equal((HashState.Pending, null), (ManifestFile.Read(manifest).HashState, ManifestFile.Read(manifest).Sha256));

        hashes.Tell(new HashActor.HashDump(manifest));
        Assert.True(await tried.WaitAsync(Eventually.Deadline));
        Assert.Equal(HashState.Done, ManifestFile.Read(manifest).HashState);
    }
}
