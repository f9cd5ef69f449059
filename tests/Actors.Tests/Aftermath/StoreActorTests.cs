using NetdumpCollector.Actors.Aftermath;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Tests.Runtime;
using NetdumpCollector.Actors.Tests.Stitching;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Actors.Tests.Aftermath;

public sealed class StoreActorTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("netdump-store-").FullName;
    private readonly ManualDispatcher _dispatcher = new();
    private readonly ManualDispatcher _uploads = new();
    private readonly ManualTimeProvider _time = new();

    public StoreActorTests() => _time.Advance(TimeSpan.FromDays(1000));

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>What is in the store stays as it is: so what may become whole waits, and what only another node makes whole does not.</summary>
    [Theory]
    [InlineData("beginning", 0, true, true)]
    [InlineData("end", 0, false, true)]
    [InlineData("end", 59, true, false)]
    [InlineData("end", 60, true, true)]
    [InlineData("part", 1439, true, false)]
    [InlineData("part", 1440, true, true)]
    [InlineData("within", 0, true, true)]
    [InlineData("stitching", 100, true, false)]
    [InlineData("complete", 0, true, true)]
    public void A_dump_waits_for_parts_of_other_nodes_where_it_may_become_whole(string what, int minutesOld, bool hasParts, bool isUploaded)
    {
        var manifest = PartOfADump.Beginning with { EndedAt = _time.GetUtcNow().AddMinutes(-minutesOld), Kdh = what == "beginning" ? null : PartOfADump.Header, Missing = [new(4096, 8192)], MissingBytes = 4096, MissingRanges = 1 };
        var part = manifest with { Continues = new("20261121T013930Z-00000000", "a", 1) };
        string path = Path.Join(_root, "dump.web.0.json");
        ManifestFile.Write(path, what switch
        {
            "part" => part,
            "within" => part with { Within = new("20261121T013930Z-00000000", "a") },
            "stitching" => manifest with { Stitching = true },
            "complete" => part with { Status = DumpStatus.Complete },
            _ => manifest,
        });
        var system = new ActorSystem("test", (at, failure) => Assert.Fail($"{at}: {failure}"));
        Assert.True(StoreLocation.TryParse("s3://crashes/lab", out var location));
        var setup = new StoreSetup(_root, new() { Location = location, Concurrency = 1 }, _ => throw new InvalidOperationException("nothing is sent here"), _time, new(_time), new RecordingLogger()) { HasParts = hasParts };
        var store = system.Spawn<StoreActor.Message>("store", _dispatcher, () => new StoreActor(setup, _uploads, CancellationToken.None));
        _dispatcher.RunAll();
        _uploads.RunAll();

        store.Tell(new StoreActor.DumpReady(path));
        _dispatcher.RunAll();

        Assert.Equal(isUploaded, _uploads.Waiting > 0);
    }
}
