using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Actors.Tests.Runtime;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Stitching;
using NetdumpCollector.Telemetry;

namespace NetdumpCollector.Actors.Tests.Stitching;

/// <summary>What is told of parts over time.</summary>
public sealed class StitchActorTests : IDisposable
{
    private const int LogAwaitsParts = 1192;
    private const int LogPartIsWithin = 1194;
    private const int LogPartsDidNotCome = 1195;
    private const int LogNotAskedFor = 1196;
    private const string Id = PartOfADump.Id;
    private const long MinuteUs = 60_000_000;

    private readonly string _root = Directory.CreateTempSubdirectory("netdump-stitch-").FullName;
    private readonly ManualDispatcher _dispatcher = new();
    private readonly ManualTimeProvider _time = new();
    private readonly RecordingLogger _log = new();
    private readonly CollectorMetrics _metrics = new(TimeProvider.System);
    private readonly Catalogue _catalogue = new();

    private string ManifestPath => Path.Join(_root, "dump.web.0.json");

    public StitchActorTests() => _time.Advance(TimeSpan.FromDays(1000));

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void A_part_says_where_it_is_whole_once_it_is()
    {
        Write(Part());
        Begin();
        Pass(2);
        Assert.True(_catalogue.AskedForWholes > 1);
        Assert.Null(ManifestFile.Read(ManifestPath).Within);

        _catalogue.Wholes[Id] = new("20261121T013945Z-00000002", "b");
        Pass(1);

        Assert.Equal(new DumpWhole("20261121T013945Z-00000002", "b"), ManifestFile.Read(ManifestPath).Within);
        Assert.Contains("inside a whole dump now: 20261121T013945Z-00000002 of node b", Assert.Single(_log.All.Split('\n'), line => line.StartsWith($"{LogPartIsWithin} ", StringComparison.Ordinal)), StringComparison.Ordinal);
        int asked = _catalogue.AskedForWholes;
        Pass(20);
        Assert.Equal(asked, _catalogue.AskedForWholes);
    }

    [Theory]
    [InlineData("complete")]
    [InlineData("stitching")]
    public void What_is_whole_itself_or_becomes_it_is_no_part_of_another(string what)
    {
        Write(Part());
        Begin();
        _catalogue.Wholes[Id] = new("20261121T013945Z-00000002", "b");
        _catalogue.BeforeWholes = () => ManifestFile.Update(ManifestPath, m => what == "complete" ? m with { Status = DumpStatus.Complete } : m with { Stitching = true });

        Pass(1);

        Assert.Null(ManifestFile.Read(ManifestPath).Within);
    }

    [Fact]
    public void Nobody_asks_for_a_part_that_ended_a_day_ago()
    {
        Write(Part() with { EndedAt = _time.GetUtcNow().AddDays(-1) });
        Begin();

        Pass(30);

        Assert.Equal(0, _catalogue.AskedForWholes);
    }

    [Fact]
    public void A_catalogue_that_is_down_is_told_of_once_and_asked_on()
    {
        Write(Part());
        Begin();
        _catalogue.BeforeWholes = () => throw new StorageException("the catalogue is not reached");
        Pass(10);

        Assert.Equal(1, _log.Count(LogNotAskedFor));
        _catalogue.BeforeWholes = null;
        _catalogue.Wholes[Id] = new("20261121T013945Z-00000002", "b");
        Pass(1);
        Assert.NotNull(ManifestFile.Read(ManifestPath).Within);
    }

    [Fact]
    public void A_part_whose_other_half_does_not_come_is_told_of_as_incomplete_after_a_day_and_tried_on_now_and_then()
    {
        Write(Part() with { Continues = new("20261121T013930Z-00000000", "a", 1), Kdh = PartOfADump.Header });
        _catalogue.Problem = "node a is away";
        Begin();
        Pass(10);
        Assert.Equal((1, 0, 1), (_log.Count(LogAwaitsParts), _log.Count(LogPartsDidNotCome), Awaiting));
        Assert.InRange(_catalogue.Asked, 9, 20);

        _time.Advance(DumpStitching.Patience);
        Pass(2);
        Assert.Equal((1, 1, 0), (_log.Count(LogAwaitsParts), _log.Count(LogPartsDidNotCome), Awaiting));
        Assert.Contains("stays incomplete, as far as can be told after 24 h: node a is away", _log.All, StringComparison.Ordinal);
        int asked = _catalogue.Asked;
        Pass(60);
        Assert.InRange(_catalogue.Asked - asked, 5, 7);
        Assert.Equal(1, _log.Count(LogPartsDidNotCome));
    }

    private int Awaiting => (int)_metrics.AwaitingParts;

    private void Pass(int minutes)
    {
        // The actor does one thing at a time.
        for (long passed = 0; passed < minutes * MinuteUs; passed += 1_000_000)
            _dispatcher.Advance(1_000_000);
    }

    private void Begin()
    {
        var system = new ActorSystem("test", (path, failure) => Assert.Fail($"{path}: {failure}"));
        var actor = system.Spawn<StitchActor.Message>("stitch", _dispatcher, () => new StitchActor(new(_root, "a", () => _catalogue, Headroom.Unlimited, _metrics, _log) { Time = _time }, CancellationToken.None));
        actor.Tell(new StitchActor.Begin());
        _dispatcher.RunAll();
    }

    private void Write(Manifest manifest)
    {
        File.WriteAllBytes(Path.Join(_root, "vmcore.web.0"), new byte[4096]);
        ManifestFile.Write(ManifestPath, manifest);
    }

    private Manifest Part() => PartOfADump.Beginning with { StartedAt = _time.GetUtcNow(), EndedAt = _time.GetUtcNow() };

    private sealed class Catalogue : IPartFinder
    {
        public Dictionary<string, DumpWhole> Wholes { get; } = [];

        public Action? BeforeWholes { get; set; }

        public string? Problem { get; set; }

        public int Asked { get; private set; }

        public int AskedForWholes { get; private set; }

        public FoundParts Find(Manifest dump, CancellationToken stopping)
        {
            Asked++;
            return new([], IsKnown: Problem is not null, Problem);
        }

        public IReadOnlyDictionary<string, DumpWhole> FindWholes(IReadOnlyCollection<Manifest> parts, CancellationToken stopping)
        {
            AskedForWholes++;
            BeforeWholes?.Invoke();
            return Wholes;
        }
    }
}
