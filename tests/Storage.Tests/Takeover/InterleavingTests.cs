namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>A node is stopped behind each of its steps, others do all that they do, and it goes on; or it never does.</summary>
public sealed class InterleavingTests
{
    private const int Pages = 4;

    /// <summary>What the other node does while one is stopped.</summary>
    public enum Meanwhile
    {
        Answers,
        Finishes,
        Removes,
        EndsTheDump,
    }

    public static TheoryData<Meanwhile> All() => [.. Enum.GetValues<Meanwhile>()];

    [Theory]
    [MemberData(nameof(All))]
    public void Whoever_commits_while_another_one_does_there_is_one_dump(Meanwhile meanwhile)
    {
        int step = 0;
        for (bool isReached = true; isReached; step++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(Pages);
            // The committer has two segments to join.
            Assert.True(client.Send(shared.Node("first").Begin(), bursts: 2));
            var committer = shared.Node("committer");
            Assert.True(client.Send(committer, bursts: Pages - 1));
            var other = shared.Node("other");
            var stop = new Stop(step, () => Do(meanwhile, client, other));
            committer.OnStep = stop.On;

            // Where the dump was ended in the client's place, and removed, nobody answers it any more.
            Assert.True(client.Send(committer) || client.Send(other) || meanwhile == Meanwhile.EndsTheDump);

            isReached = stop.IsReached;

            shared.AssertOneDump(client);
        }

        Assert.True(step > 15, $"the commit has {step} steps");
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Whoever_takes_over_while_another_one_does_there_is_one_dump(Meanwhile meanwhile)
    {
        int step = 0;
        for (bool isReached = true; isReached; step++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(Pages);
            Assert.True(client.Send(shared.Node("first").Begin(), bursts: meanwhile == Meanwhile.EndsTheDump ? Pages + 1 : 2));
            var claimant = shared.Node("claimant");
            var other = shared.Node("other");
            var stop = new Stop(step, () => Do(meanwhile, client, other));
            claimant.OnStep = stop.On;

            Assert.True(client.Send(claimant) || client.Send(other) || client.Send(claimant) || meanwhile == Meanwhile.EndsTheDump);

            isReached = stop.IsReached;

            shared.AssertOneDump(client);
        }

        Assert.True(step > 15, $"to take over and commit are {step} steps");
    }

    /// <summary>One is stopped, the other one then as well; the first one takes a step more, the other one does the rest of what it does, and the first one goes on.</summary>
    [Theory]
    [InlineData(Meanwhile.Answers, false)]
    [InlineData(Meanwhile.Answers, true)]
    [InlineData(Meanwhile.Removes, false)]
    public void Two_nodes_that_are_both_stopped_come_to_one_dump(Meanwhile meanwhile, bool isClaimant)
    {
        int step = 0;
        for (bool isReached = true; isReached; step++)
        {
            int otherStep = 0;
            for (bool isOtherReached = true; isOtherReached; otherStep++)
            {
                using var shared = new SharedDirectory();
                var client = new SharedClient(pages: 2);
                Assert.True(client.Send(shared.Node("first").Begin(), bursts: 1));
                var one = shared.Node("one");
                Assert.True(isClaimant || client.Send(one, bursts: 1));
                var other = shared.Node("other");
                using var meeting = new Meeting(step, otherStep, () => Do(meanwhile, client, other));
                (one.OnStep, other.OnStep) = (meeting.OnStep, meeting.OnOtherStep);

                bool isAcked = client.Send(one);
                meeting.LetOtherGoOn();

                isReached = meeting.IsReached;
                isOtherReached = isReached && meeting.IsOtherReached;
                Assert.True(isAcked || client.Send(one) || client.Send(other));
                shared.AssertOneDump(client);
            }
        }

        Assert.True(step > 15, $"the first one has {step} steps");
    }

    [Fact]
    public void Three_nodes_of_which_two_are_stopped_come_to_one_dump()
    {
        int steps = 0;
        for (bool isReached = true; isReached; steps++)
        {
            int innerSteps = 0;
            for (bool isInnerReached = true; isInnerReached; innerSteps++)
            {
                using var shared = new SharedDirectory();
                var client = new SharedClient(Pages);
                var first = shared.Node("first").Begin();
                Assert.True(client.Send(first, bursts: Pages + 1));
                var second = shared.Node("second");
                var third = shared.Node("third");
                var inner = new Stop(innerSteps, () => Do(Meanwhile.Finishes, client, third));
                second.OnStep = inner.On;
                var outer = new Stop(steps, () => Do(Meanwhile.Finishes, client, second));
                first.OnStep = outer.On;

                Assert.True(client.Send(first) || client.Send(second) || client.Send(third));

                isReached = outer.IsReached;
                isInnerReached = isReached && inner.IsReached;
                shared.AssertOneDump(client);
            }
        }

        Assert.True(steps > 15, $"the commit has {steps} steps");
    }

    [Fact]
    public void A_node_that_dies_while_it_commits_loses_nothing()
    {
        int step = 0;
        for (bool isCrashed = true; isCrashed; step++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(Pages);
            Assert.True(client.Send(shared.Node("first").Begin(), bursts: 2));
            var dying = shared.Node("dying");
            Assert.True(client.Send(dying, bursts: Pages - 1));
            dying.Crash(at: null, step, () => client.Send(dying), out isCrashed);
            if (isCrashed)
            {
                string partial = shared.Names.First(name => name.StartsWith("partial.", StringComparison.Ordinal)).Replace(".ledger", "", StringComparison.Ordinal);
                File.WriteAllText(Path.Join(shared.Path, $".{partial}.e3.ledger.0badcafe.tmp"), "a marker that did not get its name");
            }

            Assert.True(client.Send(shared.Node("heir")));

            shared.AssertOneDump(client);
        }

        Assert.True(step > 15, $"the commit has {step} steps");
    }

    [Fact]
    public void Drafts_of_a_dumps_only_owner_that_was_killed_behind_its_marker_are_removed()
    {
        using var shared = new SharedDirectory();
        var client = new SharedClient(Pages);
        var dying = shared.Node("dying").Begin();
        dying.Crash(SharedStep.MarkerDurable, 0, () => client.Send(dying), out bool isCrashed);
        Assert.True(isCrashed);
        // Its unwinding removes what a killed one leaves.
        foreach (string draft in (string[])[".info.web.0.0badcafe.tmp", ".dump.web.0.json.0badcafe.tmp"])
            File.WriteAllText(Path.Join(shared.Path, draft), "what did not get its name");

        Assert.True(client.Send(shared.Node("heir")));

        shared.AssertOneDump(client);
    }

    [Fact]
    public void A_node_that_dies_while_it_takes_over_loses_nothing()
    {
        int step = 0;
        for (bool isCrashed = true; isCrashed; step++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(Pages);
            Assert.True(client.Send(shared.Node("first").Begin(), bursts: 2));
            var dying = shared.Node("dying");
            dying.Crash(at: null, step, () => client.Send(dying, bursts: 1), out isCrashed);

            Assert.True(client.Send(shared.Node("heir")));

            shared.AssertOneDump(client);
        }

        Assert.True(step > 5, $"to take over are {step} steps");
    }

    [Fact]
    public void A_node_that_dies_while_it_does_another_ones_work_or_removes_what_is_left_leaves_it_to_the_next()
    {
        int step = 0;
        for (bool isCrashed = true; isCrashed; step++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(Pages);
            Assert.True(client.Send(shared.Node("first").Begin(), bursts: 2));
            var dying = shared.Node("dying");
            dying.Crash(SharedStep.MarkerDurable, 0, () => client.Send(dying), out _);
            var janitor = shared.Node("janitor of the day");
            Assert.True(client.Send(janitor));

            janitor.Crash(at: null, step, () => Do(Meanwhile.Removes, client, janitor), out isCrashed);

            shared.AssertOneDump(client);
        }

        Assert.True(step > 12, $"to finish and remove are {step} steps");
    }

    private static void Do(Meanwhile meanwhile, SharedClient client, SharedNode node)
    {
        if (meanwhile != Meanwhile.EndsTheDump)
            _ = client.Send(node);
        if (meanwhile == Meanwhile.Answers)
            return;
        foreach (var left in node.Directory.ClaimAbandoned(TimeSpan.Zero, node.Problems.Add))
        {
            if (left.Saved is not null)
                node.CommitAbandoned(left);
            else if (meanwhile == Meanwhile.Finishes)
                left.File.Dispose();
            else
                left.File.RemoveLedger();
        }

        if (meanwhile == Meanwhile.Removes)
            node.Linger();
    }

    /// <summary>Stops a node behind one of its steps, once.</summary>
    private sealed class Stop(int step, Action meanwhile)
    {
        private int _steps;

        public bool IsReached { get; private set; }

        public void On(SharedStep reached)
        {
            if (_steps++ != step)
                return;
            IsReached = true;
            meanwhile();
        }
    }
    /// <summary>Two nodes of which each is stopped behind one of its steps; only one runs at a time.</summary>
    private sealed class Meeting(int step, int otherStep, Action other) : IDisposable
    {
        private readonly ManualResetEventSlim _otherStands = new();
        private readonly ManualResetEventSlim _otherGoesOn = new();
        private Task? _other;
        private int _steps;
        private int _otherSteps;

        public bool IsReached => _other is not null;

        public bool IsOtherReached { get; private set; }

        public void OnStep(SharedStep reached)
        {
            if (_other is not null)
                LetOtherGoOn();
            else if (_steps++ == step)
                Begin();
        }

        public void OnOtherStep(SharedStep reached)
        {
            if (_otherSteps++ != otherStep)
                return;
            IsOtherReached = true;
            _otherStands.Set();
            _otherGoesOn.Wait();
        }

        /// <summary>To the end of what it does.</summary>
        public void LetOtherGoOn()
        {
            _otherGoesOn.Set();
            _other?.GetAwaiter().GetResult();
        }

        public void Dispose()
        {
            LetOtherGoOn();
            _otherStands.Dispose();
            _otherGoesOn.Dispose();
        }

        private void Begin()
        {
            _other = Task.Factory.StartNew(() =>
            {
                try
                {
                    other();
                }
                finally
                {
                    _otherStands.Set();
                }
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            _otherStands.Wait();
        }
    }
}
