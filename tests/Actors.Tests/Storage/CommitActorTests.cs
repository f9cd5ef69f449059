using System.Runtime.Versioning;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Actors.Ingress;
using NetdumpCollector.Actors.Runtime;
using NetdumpCollector.Actors.Sessions;
using NetdumpCollector.Actors.Storage;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Telemetry;
using NetdumpCollector.Transport;

namespace NetdumpCollector.Actors.Tests.Storage;

[UnsupportedOSPlatform("windows")]
public sealed class CommitActorTests
{
    private const int LogCompleted = 1003;
    private const int LogCommitFailed = 1006;

    private static readonly DumpCircumstances s_circumstances = new()
    {
        Host = "h",
        Endpoint = "shared",
        LocalAddress = Ipv4.Loopback,
        LocalPort = 1,
        EndedAt = DateTimeOffset.UnixEpoch,
        Duration = TimeSpan.Zero,
    };

    [Theory, EveryEndpoint]
    public async Task A_dump_that_cannot_be_made_durable_is_not_acked_and_holds_nothing_up(string transport, EndpointMode mode)
    {
        await using var collector = await RunningCollector.StartAsync(new() { Transport = transport, Mode = mode });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.Herald();
        client.SendRest(dump);
        foreach (string file in Directory.GetFiles(collector.Root))
            File.Delete(file);

        byte[] finished = client.TakeFinished();
        client.Send(finished);
        Assert.Contains("could not be made durable", await collector.Log.Line(LogCommitFailed), StringComparison.Ordinal);
        client.Send(finished);
        client.Send(TestDump.Message(MessageType.Vmcore, 2, 0, dump.Content.AsSpan(0, 1448)));
        await collector.Rejected(RejectReason.AfterEnd, 1);

        Assert.Equal(0, client.CountAcks(TestDump.SeqnoOf(finished)));
        Assert.True(await collector.DrainAsync());
        Assert.Equal(0, collector.Log.Count(LogCompleted));
    }

    [Fact]
    public async Task A_commit_that_fails_unexpectedly_tells_its_session()
    {
        using var threads = new ThreadDispatcher("test", 2);
        string root = Directory.CreateTempSubdirectory("netdump-commit-").FullName;
        using var directory = DumpDirectory.Open(root, defaultPath: null);
        using var loop = Transports.Default.CreateLoop("test", _ => { });
        var environment = EnvironmentOf(directory, threads, loop);
        var told = new TaskCompletionSource<SessionActor.Message>(TaskCreationOptions.RunContinuationsAsynchronously);
        var session = environment.System.Spawn<SessionActor.Message>("session", threads, () => new Listener(told));
        // Without a data file there is nothing to try again.
        var file = directory.Create(new("id", Ipv4.Loopback, DateTimeOffset.UnixEpoch), default, heraldPath: null);
        File.Delete(file.PartialPath);
        var commit = environment.System.Spawn<CommitActor.Message>("commit", threads, () => new CommitActor(environment, session));
        // A session never says so; should one do, the directory refuses with an exception that no disk brings about.
        var contradiction = DumpSummary.Unknown(EndReason.Finished, null) with { Status = DumpStatus.Complete };
        commit.Tell(new CommitActor.CommitDump(file, contradiction, s_circumstances, Task.FromResult("h"), HostDueUs: 0));

        Assert.IsType<SessionActor.CommitFailed>(await told.Task.WaitAsync(Eventually.Deadline));
        Assert.True(await environment.System.StopAsync(Eventually.Deadline));
        Directory.Delete(root, recursive: true);
    }

    [Theory]
    [InlineData(2, true)]
    // As many as there are attempts to commit.
    [InlineData(12, false)]
    public async Task A_commit_that_fails_after_the_final_name_is_tried_again_and_only_at_last_a_failure(int failures, bool isCommitted)
    {
        using var threads = new ThreadDispatcher("test", 2);
        string root = Directory.CreateTempSubdirectory("netdump-commit-").FullName;
        using var directory = DumpDirectory.Open(root, defaultPath: null);
        using var loop = Transports.Default.CreateLoop("test", _ => { });
        var environment = EnvironmentOf(directory, threads, loop);
        var told = new TaskCompletionSource<SessionActor.Message>(TaskCreationOptions.RunContinuationsAsynchronously);
        var session = environment.System.Spawn<SessionActor.Message>("session", threads, () => new Listener(told));
        var file = directory.Create(new("id", Ipv4.Loopback, DateTimeOffset.UnixEpoch), default, heraldPath: null);
        var commit = environment.System.Spawn<CommitActor.Message>("commit", threads, () => new CommitActor(environment, session));
        var summary = DumpSummary.Unknown(EndReason.ClientTimedOut, null) with { Missing = new Obstacles(root, failures) };
        commit.Tell(new CommitActor.CommitDump(file, summary, s_circumstances, Task.FromResult("h"), HostDueUs: 0));

        var outcome = await told.Task.WaitAsync(Eventually.Deadline);
        // It writes no more once it has ended.
        Assert.True(await environment.System.StopAsync(Eventually.Deadline));
        Assert.Equal(failures, ((RecordingLogger)environment.Logger).Count(LogCommitFailed));
        var dump = Assert.Single(DumpCatalog.Read(root).Dumps);
        Assert.Equal(failures, dump.Manifest.Index);
        Assert.Equal(isCommitted ? EndReason.ClientTimedOut : EndReason.WriteError, dump.Manifest.Reason);
        if (isCommitted)
            Assert.IsType<SessionActor.Committed>(outcome).File.Dispose();
        else
            Assert.IsType<SessionActor.CommitFailed>(outcome);
        Assert.Equal(isCommitted, Directory.GetFiles(root, "partial.*").Length == 1);
        Directory.Delete(root, recursive: true);
    }

    [Fact]
    public async Task Dumps_whose_names_do_not_come_wait_for_them_all_at_once()
    {
        // One thread: each would have to wait for those before it.
        using var thread = new ThreadDispatcher("test", 1);
        using var threads = new ThreadDispatcher("test", 1);
        string root = Directory.CreateTempSubdirectory("netdump-commit-").FullName;
        using var directory = DumpDirectory.Open(root, defaultPath: null);
        using var loop = Transports.Default.CreateLoop("test", _ => { });
        var environment = EnvironmentOf(directory, threads, loop);
        var name = new TaskCompletionSource<string>();
        long dueUs = thread.NowUs + 3_000_000;
        List<Task<SessionActor.Message>> answers = [];
        for (int i = 0; i < 30; i++)
        {
            var told = new TaskCompletionSource<SessionActor.Message>(TaskCreationOptions.RunContinuationsAsynchronously);
            answers.Add(told.Task);
            var session = environment.System.Spawn<SessionActor.Message>($"session-{i}", threads, () => new Listener(told));
            var file = directory.Create(new($"id-{i}", Ipv4.Loopback, DateTimeOffset.UnixEpoch), default, heraldPath: null);
            var commit = environment.System.Spawn<CommitActor.Message>($"commit-{i}", thread, () => new CommitActor(environment, session));
            commit.Tell(new CommitActor.CommitDump(file, DumpSummary.Unknown(EndReason.ClientTimedOut, null), s_circumstances, name.Task, dueUs));
        }

        foreach (var answer in await Task.WhenAll(answers).WaitAsync(Eventually.Deadline))
            Assert.IsType<SessionActor.Committed>(answer).File.Dispose();
        Assert.True(await environment.System.StopAsync(Eventually.Deadline));
        Directory.Delete(root, recursive: true);
    }

    [Theory, EveryTransport]
    public async Task One_dump_that_waits_for_its_name_holds_up_no_other(string transport)
    {
        var name = new TaskCompletionSource<string?>();
        Ipv4 slow = default;
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            LookUp = address => address == slow ? name.Task.GetAwaiter().GetResult() : "quick",
        });
        var waiting = collector.NewClient();
        slow = waiting.Address;
        var dump = new TestDump(100_000);
        waiting.Herald();
        waiting.SendRest(dump);
        waiting.Send(waiting.TakeFinished());

        var other = collector.NewClient();
        other.SendDump(dump);
        await collector.AssertComplete(other, dump);
        Assert.Single(collector.Dumps);

        name.SetResult(null);
        waiting.Finish();
        Assert.Equal(waiting.Address.ToString(), (await collector.AssertComplete(waiting, dump)).Host);
    }

    [Theory, EveryTransport]
    public async Task A_name_that_does_not_come_costs_no_more_than_its_deadline(string transport)
    {
        using var never = new ManualResetEventSlim();
        await using var collector = await RunningCollector.StartAsync(new()
        {
            Transport = transport,
            LookUpDeadline = TimeSpan.FromMilliseconds(20),
            LookUp = _ =>
            {
                never.Wait();
                return null;
            },
        });
        var client = collector.NewClient();
        var dump = new TestDump(100_000);
        client.Herald();
        client.SendBurst(dump);
        await Eventually.Holds(() => collector.Log.All.Contains($"{client.Address} [{client.Address}]", StringComparison.Ordinal), "the dump is told of without a name");

        client.SendRest(dump);
        client.Finish();
        Assert.Equal(client.Address.ToString(), (await collector.AssertComplete(client, dump)).Host);
        never.Set();
    }

    private static SessionEnvironment EnvironmentOf(DumpDirectory directory, ThreadDispatcher threads, IEventLoop loop)
    {
        var metrics = new CollectorMetrics(TimeProvider.System);
        var system = new ActorSystem("test");
        return new()
        {
            System = system,
            EventLoop = loop,
            Loop = threads,
            FileSystems = new(system, TimeProvider.System, metrics, new RecordingLogger()),
            Directory = directory,
            Options = new(),
            HostNames = new(HostMap.Empty, TimeProvider.System, TimeSpan.Zero),
            Time = TimeProvider.System,
            Metrics = metrics,
            Rejects = new(metrics, new RecordingLogger()),
            Logger = new RecordingLogger(),
        };
    }

    /// <summary>No ranges; when looked at, which is in mid-commit, the info file of the dump's index is somebody else's, so many times.</summary>
    private sealed class Obstacles(string root, int left) : IReadOnlyList<ByteRange>
    {
        private int _left = left;

        public int Count
        {
            get
            {
                string info = Directory.GetFiles(root, "vmcore.h.*").Single(name => !name.EndsWith(".last", StringComparison.Ordinal)).Replace("vmcore.", "info.", StringComparison.Ordinal);
                if (_left > 0 && !File.Exists(info))
                {
                    File.WriteAllText(info, "precious");
                    _left--;
                }

                return 0;
            }
        }

        public ByteRange this[int index] => throw new ArgumentOutOfRangeException(nameof(index));

        public IEnumerator<ByteRange> GetEnumerator() => Enumerable.Empty<ByteRange>().GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }

    private sealed class Listener(TaskCompletionSource<SessionActor.Message> told) : Actor<SessionActor.Message>
    {
        protected override void Receive(SessionActor.Message message) => told.TrySetResult(message);
    }
}
