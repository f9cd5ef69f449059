using NetdumpCollector.Protocol;
using NetdumpCollector.Storage.Native;

namespace NetdumpCollector.Storage.Tests.Takeover;

/// <summary>Who becomes a dump's owner, and what it has from those before.</summary>
public sealed class ClaimTests : IDisposable
{
    private readonly SharedDirectory _shared = new();

    public void Dispose() => _shared.Dispose();

    [Fact]
    public async Task Of_many_nodes_that_claim_at_once_one_is_the_owner_and_all_others_know()
    {
        var client = new SharedClient(pages: 4);
        Assert.True(client.Send(_shared.Node("first").Begin(), bursts: 2));
        SharedNode[] nodes = [.. Enumerable.Range(0, 8).Select(i => _shared.Node($"n{i}"))];
        using var barrier = new Barrier(nodes.Length);

        await Task.WhenAll(nodes.Select(node => Task.Factory.StartNew(() =>
        {
            barrier.SignalAndWait();
            Assert.True(node.TakeOver());
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

        Assert.All(nodes, node => Assert.Empty(node.Problems));
        Assert.Equal(Enumerable.Range(2, nodes.Length), nodes.Select(node => node.File!.Epoch).Order());
        var owner = Assert.Single(nodes, node => !node.File!.IsSuperseded());
        Assert.Equal(nodes.Length + 1, owner.File!.Epoch);
        Assert.True(client.Send(owner));
        _shared.AssertOneDump(client);
    }

    [Fact]
    public async Task Nodes_that_take_over_commit_and_clear_up_at_once_come_to_one_dump()
    {
        for (int i = 0; i < 20; i++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(pages: 4);
            var first = shared.Node("first").Begin();
            Assert.True(client.Send(first, bursts: 5));
            SharedNode[] nodes = [first, shared.Node("second"), shared.Node("third")];
            using var barrier = new Barrier(nodes.Length);

            bool[] acked = await Task.WhenAll(nodes.Select(node => Task.Factory.StartNew(() =>
            {
                barrier.SignalAndWait();
                return client.Send(node);
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

            Assert.True(acked.Contains(true) || client.Send(first) || client.Send(nodes[1]));
            shared.AssertOneDump(client);
        }
    }

    /// <summary>Right after it made its ledger, another one takes the right to write from that.</summary>
    [Fact]
    public void An_owner_that_is_overtaken_while_it_becomes_one_knows_it()
    {
        var client = new SharedClient(pages: 2);
        Assert.True(client.Send(_shared.Node("a").Begin(), bursts: 1));
        var (slow, fast) = (_shared.Node("b"), _shared.Node("c"));
        slow.OnStep = step =>
        {
            if (step == SharedStep.EpochClaimed)
                Assert.True(fast.TakeOver());
        };

        Assert.True(slow.TakeOver());

        Assert.Equal((2, 3), (slow.File!.Epoch, fast.File!.Epoch));
        Assert.True(slow.File.IsSuperseded());
        Assert.True(client.Send(fast));
        _shared.AssertOneDump(client);
    }

    /// <summary>A claimant has taken the right to write from the owner's ledger and finds then that the owner has ended the dump.</summary>
    [Fact]
    public async Task A_marker_by_which_another_node_acks_FINISHED_is_not_taken_back()
    {
        var client = new SharedClient(pages: 2);
        var (owner, claimant) = (_shared.Node("a").Begin(), _shared.Node("b"));
        Assert.True(client.Send(owner, bursts: 3));
        using var marked = new ManualResetEventSlim();
        using var ended = new ManualResetEventSlim();
        claimant.OnStep = step =>
        {
            if (step != SharedStep.FormerMarked)
                return;
            marked.Set();
            ended.Wait();
        };
        Task<bool>? claim = null;
        owner.OnStep = step =>
        {
            if (step == SharedStep.MarkerDrafted && claim is null)
            {
                claim = Task.Factory.StartNew(claimant.TakeOver, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                Assert.True(marked.Wait(TimeSpan.FromSeconds(30)));
            }
            else if (step == SharedStep.MarkerNamed)
            {
                ended.Set();
                Assert.True(claim!.Wait(TimeSpan.FromSeconds(30)));
            }
        };

        bool isAcked = client.Send(owner);
        ended.Set();

        Assert.True(await claim!);
        Assert.True(claimant.Receive(0, [(MessageType.Finished, 0, [])]), "the client is told that its dump is there");
        Assert.True(isAcked);
        Assert.Equal(1, owner.File!.Epoch);
        _shared.AssertOneDump(client);
    }

    [Fact]
    public void Only_the_flow_whose_packets_come_is_taken_over()
    {
        Assert.True(new SharedClient(pages: 1).Send(_shared.Node("a").Begin(), bursts: 1));
        var other = _shared.Node("b").Directory;

        Assert.Empty(other.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort + 1, Assert.Fail));
        Assert.Empty(other.TakeOverFlow(SharedNode.Local, Ipv4.Loopback, SharedNode.RemotePort, Assert.Fail));
        Assert.DoesNotContain(_shared.Names, name => name.Contains(".e2", StringComparison.Ordinal));
    }

    [Fact]
    public void A_storm_of_packets_of_nobodys_sessions_is_one_look_into_the_directory()
    {
        var node = _shared.Node("b").Directory;
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        Assert.True(new SharedClient(pages: 1).Send(_shared.Node("a").Begin(), bursts: 1));
        using var heralds = HeraldLedger.Open(_shared.Node("a2").Directory, 20023)!;
        Assert.True(heralds.TryTake(out int place));
        heralds.Write(place, new(new(7), endpoint, Dumps.StartedAt, []));
        long asked = node.NextLook;

        for (uint client = 0; client < 20_000; client++)
        {
            Assert.Empty(node.TakeOverFlow(SharedNode.Local, new(0x0b000000 + client), 20025, Assert.Fail, asked));
            Assert.Null(node.FindHerald(20023, SharedNode.Local, new(0x0b000000 + client), 20025, asked));
        }

        Assert.Equal(asked + 1, node.NextLook);
        // Nor do made-up packets of a host that dumps make more.
        int chains = 0;
        node.Running().OnStep = step => chains += step == SharedStep.ChainRead ? 1 : 0;
        for (ushort port = 1; port < 20_000; port++)
            Assert.Empty(node.TakeOverFlow(SharedNode.Local, Dumps.Client, port, Assert.Fail, asked));
        Assert.Equal(1, chains);
        // Who belongs there is found by the same look.
        Assert.Equal(Dumps.StartedAt, node.FindHerald(20023, SharedNode.Local, new(7), SharedNode.RemotePort, asked)!.At);
        Assert.Single(node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail, asked)).File.Dispose();
        Assert.Equal(asked + 1, node.NextLook);
    }

    [Fact]
    public void What_was_made_before_somebody_asked_is_seen()
    {
        var node = _shared.Node("b").Directory;
        long early = node.NextLook;
        Assert.Empty(node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail, early));
        Assert.True(new SharedClient(pages: 1).Send(_shared.Node("a").Begin(), bursts: 1));
        long late = node.NextLook;

        Assert.Empty(node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail, early));
        Assert.Single(node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail, late)).File.Dispose();
    }

    /// <summary>A storm's seekers have a backlog each.</summary>
    [Fact]
    public async Task Who_is_served_by_the_last_look_does_not_wait_for_the_next()
    {
        var list = _shared.Node("a").Directory.Running();
        using var looking = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        int looks = 0;
        var flows = new FlowLooks(() =>
        {
            if (Interlocked.Increment(ref looks) == 2)
            {
                looking.Set();
                goOn.Wait();
            }

            return list;
        }, TimeSpan.Zero);
        long asked = flows.Next;
        var first = flows.Get(asked);
        var next = Task.Factory.StartNew(() => flows.Get(flows.Next), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        looking.Wait();
        var served = Task.Factory.StartNew(() => flows.Get(asked), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        try
        {
            Assert.Same(first, await served.WaitAsync(TimeSpan.FromSeconds(10)));
        }
        finally
        {
            goOn.Set();
        }

        Assert.Equal(asked + 1, (await next).Number);
    }

    [Fact]
    public void There_are_only_so_many_looks_a_second_also_where_the_list_cannot_be_read()
    {
        using var node = DumpDirectory.Open(_shared.Path, null);
        node.Sharing = new("b") { LookInterval = TimeSpan.FromMilliseconds(100) };
        Assert.Empty(node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail));
        Directory.Delete(Path.Join(_shared.Path, ".running"));
        long started = TimeProvider.System.GetTimestamp();
        long asked = node.NextLook;

        for (int i = 0; i < 1000; i++)
            Assert.Throws<StorageException>(() => node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail, asked));
        Assert.Throws<StorageException>(() => node.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail));

        Assert.Equal(asked + 2, node.NextLook);
        Assert.True(TimeProvider.System.GetElapsedTime(started) > TimeSpan.FromMilliseconds(100));
    }

    [Fact]
    public void Behind_a_load_balancer_each_node_has_an_address_of_its_own()
    {
        Assert.True(new SharedClient(pages: 1).Send(_shared.Node("a").Begin(), bursts: 1));

        using var taken = Assert.Single(_shared.Node("b").Directory.TakeOverFlow(Ipv4.Loopback, Dumps.Client, SharedNode.RemotePort, Assert.Fail)).File;

        Assert.Equal(Ipv4.Loopback, taken.Endpoint.Local);
        Assert.Equal(2, taken.Epoch);
    }

    [Fact]
    public void Of_a_herald_that_several_nodes_know_of_one_dump_is_begun()
    {
        var identity = new DumpIdentity(DumpId.Of(Dumps.StartedAt, Dumps.Client), Dumps.Client, Dumps.StartedAt);
        var (a, b) = (_shared.Node("a").Directory, _shared.Node("b").Directory);
        Assert.False(b.IsBegunElsewhere(identity, SharedNode.RemotePort));
        using (a.Create(identity, new(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1), null))
        {
            Assert.True(b.IsBegunElsewhere(identity, SharedNode.RemotePort));
            Assert.True(b.IsBegunElsewhere(identity with { Id = "20261121T000000Z-00000000", StartedAt = identity.StartedAt.AddSeconds(-9) }, SharedNode.RemotePort));
            Assert.False(b.IsBegunElsewhere(identity with { Id = "20261121T235959Z-00000000", StartedAt = identity.StartedAt.AddSeconds(9) }, SharedNode.RemotePort));
            Assert.False(b.IsBegunElsewhere(identity, SharedNode.RemotePort + 1));
            Assert.Throws<StorageException>(() => b.Create(identity, new(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1), null));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_node_left_that_died_while_it_made_the_files_keeps_nobody_from_beginning_anew(bool hasLedger)
    {
        var identity = new DumpIdentity(DumpId.Of(Dumps.StartedAt, Dumps.Client), Dumps.Client, Dumps.StartedAt);
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        using var slow = _shared.Node("a").Directory.Create(identity, endpoint, null);
        string ledger = $"{slow.PartialPath}{DumpFile.LedgerSuffix}";
        if (hasLedger)
            File.WriteAllBytes(ledger, []);
        else
            File.Delete(ledger);

        var b = _shared.Node("b").Directory;
        Assert.False(b.IsBegunElsewhere(identity, SharedNode.RemotePort));
        using var begun = b.Create(identity, endpoint, null);

        // Who was only slow acks nothing.
        Assert.True(slow.IsSuperseded());
        Assert.False(begun.IsSuperseded());
    }

    /// <summary>Paused right after it made the entry, which another node then took for what a dead one had left.</summary>
    [Fact]
    public void A_node_that_was_paused_while_it_began_a_dump_takes_nothing_from_the_one_that_began_it_anew()
    {
        var identity = new DumpIdentity(DumpId.Of(Dumps.StartedAt, Dumps.Client), Dumps.Client, Dumps.StartedAt);
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        var (a, b) = (_shared.Node("a"), _shared.Node("b").Directory);
        DumpFile? begun = null;
        a.OnStep = step =>
        {
            if (step != SharedStep.EntryMade || begun is not null)
                return;
            Assert.False(b.IsBegunElsewhere(identity, SharedNode.RemotePort));
            begun = b.Create(identity, endpoint, null);
        };

        Assert.Throws<StorageException>(() => a.Directory.Create(identity, endpoint, null));

        Assert.False(begun!.IsSuperseded());
        begun.Dispose();
        Assert.Single(_shared.Node("c").Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail)).File.Dispose();
    }

    [Fact]
    public void A_dump_whose_directory_was_removed_keeps_no_other_of_its_host_from_being_begun_found_or_ended()
    {
        Directory.CreateDirectory(Path.Join(_shared.Path, "gone"));
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        var node = _shared.Node("a").Directory;
        node.Create(new("20261121T013949Z-5f3a9c1e", Dumps.Client, Dumps.StartedAt), endpoint, "gone").Dispose();
        Directory.Delete(Path.Join(_shared.Path, "gone"), recursive: true);
        var identity = new DumpIdentity(DumpId.Of(Dumps.StartedAt, Dumps.Client), Dumps.Client, Dumps.StartedAt);

        Assert.False(node.IsBegunElsewhere(identity, SharedNode.RemotePort));
        node.Create(identity, endpoint, null).Dispose();

        var problems = new List<string>();
        Assert.Single(_shared.Node("b").Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, problems.Add)).File.Dispose();
        Assert.Single(_shared.Node("c").Directory.ClaimAbandoned(TimeSpan.Zero, problems.Add)).File.Dispose();
        Assert.Equal(2, problems.Count);
        Assert.All(problems, problem => Assert.Contains("gone", problem, StringComparison.Ordinal));
    }

    /// <summary>One dump runs into what nobody has thought of.</summary>
    [Fact]
    public void Whatever_is_wrong_with_one_dump_the_others_are_looked_at()
    {
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        foreach (int i in (int[])[0, 1])
            _shared.Node($"n{i}").Directory.Create(new($"20261121T01394{i}Z-5f3a9c1e", Dumps.Client, Dumps.StartedAt), endpoint, null).Dispose();
        var problems = new List<string>();
        var node = _shared.Node("a");

        node.OnStep = FailOnce();
        Assert.Single(node.Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, problems.Add)).File.Dispose();
        node.OnStep = FailOnce();
        Assert.Single(node.Directory.ClaimAbandoned(TimeSpan.Zero, problems.Add)).File.Dispose();

        Assert.Equal(2, problems.Count);
        Assert.All(problems, problem => Assert.Contains("20261121T013941Z-5f3a9c1e: System.InvalidOperationException", problem, StringComparison.Ordinal));

        static Action<SharedStep> FailOnce()
        {
            bool hasFailed = false;
            return _ =>
            {
                if (!hasFailed)
                {
                    hasFailed = true;
                    throw new InvalidOperationException("whatever");
                }
            };
        }
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Files_whose_entry_a_crash_took_back_keep_nobody_from_beginning_anew(bool hasLedger, bool hasData)
    {
        var identity = new DumpIdentity(DumpId.Of(Dumps.StartedAt, Dumps.Client), Dumps.Client, Dumps.StartedAt);
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        using var crashed = _shared.Node("a").Directory.Create(identity, endpoint, null);
        RemoveEntry(crashed.PartialPath);
        if (!hasLedger)
            File.Delete(crashed.PartialPath + DumpFile.LedgerSuffix);
        if (!hasData)
            File.Delete(crashed.PartialPath);

        using var begun = _shared.Node("b").Directory.Create(identity, endpoint, null);

        Assert.True(crashed.IsSuperseded());
        Assert.False(begun.IsSuperseded());
    }

    [Fact]
    public void Files_of_what_was_acked_stay_though_somebody_has_removed_their_entry()
    {
        var node = _shared.Node("a").Begin();
        Assert.True(new SharedClient(pages: 2).Send(node, bursts: 1));
        RemoveEntry(node.File!.PartialPath);

        var refused = Assert.Throws<StorageException>(() => _shared.Node("b").Directory.Create(node.File.Identity, node.File.Endpoint, null));

        Assert.Contains("whose entry in .running somebody has removed", refused.Message, StringComparison.Ordinal);
        Assert.False(node.File.IsSuperseded());
    }

    private void RemoveEntry(string partial) => File.Delete(Path.Join(_shared.Path, ".running", Path.GetFileName(partial)["partial.".Length..]));

    [Fact]
    public void Of_a_client_that_panicked_again_both_dumps_are_taken_over_the_newest_first()
    {
        for (int i = 0; i < 3; i++)
        {
            using var file = _shared.Node($"n{i}").Directory.Create(new($"20261121T01394{i}Z-5f3a9c1e", Dumps.Client, Dumps.StartedAt), new(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1), null);
        }

        var taken = _shared.Node("b").Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail);

        Assert.Equal(["20261121T013942Z-5f3a9c1e", "20261121T013941Z-5f3a9c1e"], taken.Select(dump => dump.File.Identity.Id));
        Assert.All(taken, dump => Assert.Null(dump.Saved!.State));
        foreach (var dump in taken)
            dump.File.Dispose();
    }

    [Fact]
    public void What_this_process_receives_itself_is_not_taken_from_it()
    {
        var node = _shared.Node("a").Begin();

        Assert.Empty(node.Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail));
        Assert.Empty(node.Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail));

        Assert.False(node.File!.IsSuperseded());
        node.File.Dispose();
        using var again = Assert.Single(node.Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail)).File;
        Assert.Equal(2, again.Epoch);
    }

    [Fact]
    public void A_dump_in_a_directory_beneath_is_taken_over_there()
    {
        Directory.CreateDirectory(Path.Join(_shared.Path, "a/b"));
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        _shared.Node("a").Directory.Create(Dumps.NewIdentity(), endpoint, "a/b").Dispose();

        var taken = Assert.Single(_shared.Node("b").Directory.TakeOverFlow(SharedNode.Local, Dumps.Client, SharedNode.RemotePort, Assert.Fail));

        using var file = taken.File;
        Assert.Equal((Path.Join(_shared.Path, "a/b"), 2), (Path.GetDirectoryName(file.PartialPath), file.Epoch));
    }

    /// <summary>Whatever a crash leaves of an owner's ledger: what the owner before acked is there.</summary>
    [Fact]
    public void A_torn_ledger_takes_nothing_away()
    {
        var client = new SharedClient(pages: 4);
        Assert.True(client.Send(_shared.Node("first").Begin(), bursts: 3));
        string torn;
        using (var dying = new SharedNode(_shared.Path, "dying"))
        {
            Assert.True(dying.TakeOver());
            torn = dying.File!.PartialPath + ".ledger";
        }

        byte[] whole = File.ReadAllBytes(torn);
        File.SetUnixFileMode(torn, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        for (int length = 0; length <= whole.Length; length += length < LedgerFormat.FileHeaderBytes - 1 ? 331 : 13)
        {
            File.WriteAllBytes(torn, whole[..length]);
            Check();
        }

        for (int at = 0; at < whole.Length; at += 41)
        {
            byte[] flipped = [.. whole];
            flipped[at] ^= 0x10;
            File.WriteAllBytes(torn, flipped);
            Check();
        }

        void Check()
        {
            using (var heir = new SharedNode(_shared.Path, "heir"))
            {
                Assert.True(heir.TakeOver());
                Assert.Equal(3, heir.File!.Epoch);
                Assert.Equal(client.Content[..12288], heir.File.ReadBytes(new(0, 12288)));
                Assert.True(heir.File.Matches(0, client.Content.AsSpan(0, 12288)));
                Assert.Empty(heir.Problems);
            }

            foreach (string name in _shared.Names.Where(name => name.Contains(".e3", StringComparison.Ordinal)))
                File.Delete(Path.Join(_shared.Path, name));
        }
    }

    /// <summary>What its ledger tells was put on the device before, and it acked nothing afterwards.</summary>
    [Fact]
    public void A_node_whose_fsync_failed_takes_nothing_from_the_next_one()
    {
        var client = new SharedClient(pages: 3);
        var first = _shared.Node("first").Begin();
        Assert.True(client.Send(first, bursts: 3));
        byte[] record = new byte[LedgerFormat.RecordHeaderBytes];
        LedgerFormat.WriteRecordHeader(record, LedgerRecordType.SyncFailed, [], []);
        using (var file = new FileStream(first.File!.PartialPath + ".ledger", new FileStreamOptions { Mode = FileMode.Append, Access = FileAccess.Write, Share = FileShare.ReadWrite }))
            file.Write(record);

        Assert.True(client.Send(_shared.Node("heir")));

        _shared.AssertOneDump(client);
    }

    [Fact]
    public void Bytes_that_a_segment_has_lost_are_reported_as_holes()
    {
        var client = new SharedClient(pages: 4);
        var first = _shared.Node("first").Begin();
        Assert.True(client.Send(first, bursts: 2));
        var heir = _shared.Node("heir");
        Assert.True(client.Send(heir, bursts: 3));
        using (var segment = File.OpenWrite(first.File!.PartialPath))
            segment.SetLength(5000);

        Assert.False(client.Send(heir));

        var manifest = ManifestFile.Read(Path.Join(_shared.Path, "dump.web.0.json"));
        Assert.Equal((DumpStatus.Incomplete, EndReason.WriteError, 3192ul), (manifest.Status, manifest.Reason, manifest.MissingBytes));
        Assert.Equal(new ByteRange(5000, 8192), Assert.Single(manifest.Missing));
        Assert.Contains("3192 bytes that were stored are in no segment", manifest.Error, StringComparison.Ordinal);
        Assert.Equal(4ul * 4096, manifest.Bytes);
    }

    [Fact]
    public void Who_is_superseded_sees_it_though_a_cache_hides_the_next_ledgers_name()
    {
        var file = _shared.Node("a").Begin().File!;
        Assert.True(_shared.Node("b").TakeOver());
        File.Delete(Path.Join(_shared.Path, Path.GetFileName(file.PartialPath) + ".e2.ledger"));

        Assert.True(file.IsSuperseded());
    }

    [Fact]
    public void To_ask_whether_it_is_superseded_allocates_nothing()
    {
        var file = _shared.Node("a").Begin().File!;

        NoAllocation.In(() => Assert.False(file.IsSuperseded()));
    }

    [Fact]
    public void A_dump_whose_client_is_silent_is_ended_by_whichever_node_looks()
    {
        Assert.True(new SharedClient(pages: 3).Send(_shared.Node("dead").Begin(), bursts: 2));
        var janitor = _shared.Node("janitor");
        Assert.Empty(janitor.Directory.ClaimAbandoned(TimeSpan.FromHours(1), Assert.Fail));

        var abandoned = Assert.Single(janitor.Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail));
        var committed = janitor.CommitAbandoned(abandoned);

        Assert.Equal((DumpStatus.Incomplete, EndReason.ClientTimedOut, 8192ul), (committed.Manifest.Status, committed.Manifest.Reason, committed.Manifest.Bytes));
        Assert.Equal([.. Conversation.Page(0), .. Conversation.Page(4096)], File.ReadAllBytes(Path.Join(_shared.Path, committed.CoreFile)));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Join(_shared.Path, ".running")));
        Assert.DoesNotContain(_shared.Names, name => name.StartsWith("partial.", StringComparison.Ordinal));
    }

    [Fact]
    public void What_is_left_of_a_dump_that_was_not_begun_or_is_over_is_removed()
    {
        var node = _shared.Node("a").Begin();
        string partial = node.File!.PartialPath;
        string entry = Path.Join(_shared.Path, ".running", Path.GetFileName(partial)["partial.".Length..]);
        File.WriteAllBytes(partial + ".ledger", []);
        node.Dispose();
        File.CreateSymbolicLink(entry + "x", "..");
        File.WriteAllBytes(partial + "x.e3.ledger", [1]);
        string look = Path.Join(_shared.Path, ".running", ".look.0.tmp"), freshLook = Path.Join(_shared.Path, ".running", ".look.1.tmp");
        File.WriteAllBytes(look, []);
        File.WriteAllBytes(freshLook, []);
        File.SetLastWriteTimeUtc(look, DateTime.UtcNow.AddMinutes(-2));
        var janitor = _shared.Node("janitor").Directory;
        Assert.Empty(janitor.ClaimAbandoned(TimeSpan.FromHours(1), Assert.Fail));
        Assert.True(File.Exists(partial));

        Assert.Empty(janitor.ClaimAbandoned(TimeSpan.Zero, Assert.Fail));

        Assert.Equal([".running"], _shared.Names);
        // Somebody may be looking by it.
        Assert.Equal([freshLook], Directory.GetFileSystemEntries(Path.Join(_shared.Path, ".running")));
    }

    [Fact]
    public void Bytes_without_a_ledger_are_not_removed()
    {
        var node = _shared.Node("a").Begin();
        Assert.True(new SharedClient(pages: 2).Send(node, bursts: 1));
        string partial = node.File!.PartialPath;
        File.Delete(partial + ".ledger");
        var problems = new List<string>();

        Assert.Empty(_shared.Node("janitor").Directory.ClaimAbandoned(TimeSpan.Zero, problems.Add));

        Assert.Contains(partial, Assert.Single(problems), StringComparison.Ordinal);
        Assert.True(File.Exists(partial));
    }

    [Fact]
    public void Who_looks_at_the_directory_sees_one_running_dump_and_nothing_wrong()
    {
        var client = new SharedClient(pages: 3);
        Assert.True(client.Send(_shared.Node("a").Begin(), bursts: 1));
        Assert.True(client.Send(_shared.Node("b"), bursts: 1));

        var running = DumpCatalog.Read(_shared.Path);
        Assert.True(Assert.Single(running.Partials).IsRunning);
        Assert.Empty(running.Problems);

        Assert.True(client.Send(_shared.Node("b2")));
        var lingering = DumpCatalog.Read(_shared.Path);
        Assert.Empty(lingering.Partials);
        Assert.Empty(lingering.Problems);
        Assert.Single(lingering.Dumps);
    }

    [Fact]
    public void A_start_passes_over_dumps_that_nodes_share()
    {
        var client = new SharedClient(pages: 2);
        using (var node = new SharedNode(_shared.Path, "a").Begin())
            Assert.True(client.Send(node, bursts: 1));
        using (var node = new SharedNode(_shared.Path, "b"))
            Assert.True(client.Send(node, bursts: 1));

        Assert.Empty(_shared.Node("c").Directory.TakeOver(_shared.Path, Assert.Fail));
        using var alone = DumpDirectory.Open(_shared.Path, null);
        var problems = new List<string>();
        Assert.Empty(alone.TakeOver(_shared.Path, problems.Add));
        Assert.Contains("--takeover", Assert.Single(problems), StringComparison.Ordinal);
    }

    [Fact]
    public void A_dump_of_before_the_directory_was_shared_is_continued_as_it_was_begun()
    {
        using (var alone = DumpDirectory.Open(_shared.Path, null))
            alone.Create(Dumps.NewIdentity(), default, null).Dispose();

        using var dump = Assert.Single(_shared.Node("a").Directory.TakeOver(_shared.Path, Assert.Fail)).File;

        Assert.False(dump.IsShared);
    }

    [Fact]
    public void A_dump_that_was_none_leaves_nothing()
    {
        _shared.Node("a").Begin().File!.Discard();

        Assert.Equal([".running"], _shared.Names);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Join(_shared.Path, ".running")));
    }

    /// <summary>Only one of both has the dump, whoever is stopped where.</summary>
    [Fact]
    public void A_dump_that_is_given_up_while_another_node_claims_it_is_that_nodes_or_nobodys()
    {
        bool isReached = true;
        int given = 0, claimed = 0;
        for (int step = 0; isReached; step++)
        {
            using var shared = new SharedDirectory();
            var client = new SharedClient(pages: 4);
            var first = shared.Node("first").Begin();
            var claimant = shared.Node("claimant");
            isReached = false;
            int steps = 0;
            claimant.OnStep = _ =>
            {
                if (steps++ != step)
                    return;
                isReached = true;
                first.Discard();
            };
            bool hasIt = claimant.TakeOver();
            claimant.OnStep = null;
            first.Discard();

            Assert.Empty(claimant.Problems);
            if (hasIt)
            {
                claimed++;
                Assert.False(claimant.File!.IsSuperseded());
                Assert.True(client.Send(claimant, bursts: 2));
                Assert.True(client.Send(shared.Node("third")));
                shared.AssertOneDump(client);
            }
            else
            {
                given++;
                AssertNothing(shared);
            }
        }

        Assert.True(given > 0 && claimed > 3, $"given up {given} times, taken over {claimed} times");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_being_given_up_is_nobodys_to_take_over(bool hasBothNames)
    {
        var first = _shared.Node("first").Begin();
        var second = _shared.Node("second");
        string ledger = first.File!.PartialPath + DumpFile.LedgerSuffix;
        using var folder = Posix.Open(_shared.Path, Posix.O_RDONLY)!;
        Dumps.Write(first.File, 0, new byte[100]);
        first.OnStep = step =>
        {
            Assert.Equal(SharedStep.GivenUp, step);
            // Where renameat2 is missing there is a moment at which it has.
            if (hasBothNames)
                Assert.Equal(0, Posix.Link(folder, Path.GetFileName(ledger).Replace(".ledger", ".e2.ledger", StringComparison.Ordinal), Path.GetFileName(ledger)));
            Assert.False(second.TakeOver());
            Assert.Empty(second.Problems);
        };

        first.Discard();

        AssertNothing(_shared);
    }

    [Fact]
    public void A_node_that_is_killed_while_it_gives_a_dump_up_leaves_no_dump()
    {
        var dying = _shared.Node("dying").Begin();
        Dumps.Write(dying.File!, 0, new byte[100]);
        dying.Crash(SharedStep.GivenUp, 0, dying.Discard, out bool hasCrashed);
        Assert.True(hasCrashed);

        Assert.Empty(_shared.Node("janitor").Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail));

        AssertNothing(_shared);
    }

    [Fact]
    public void What_a_later_owner_gives_up_stays_for_the_next()
    {
        var client = new SharedClient(pages: 4);
        Assert.True(client.Send(_shared.Node("first").Begin(), bursts: 2));
        var second = _shared.Node("second");
        Assert.True(second.TakeOver());

        second.Discard();

        Assert.True(client.Send(_shared.Node("third")));
        _shared.AssertOneDump(client);
    }

    private static void AssertNothing(SharedDirectory shared)
    {
        Assert.Equal([".running"], shared.Names);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Join(shared.Path, ".running")));
    }

    [Fact]
    public void A_list_that_was_removed_is_made_anew()
    {
        var node = _shared.Node("a");
        Assert.Empty(node.Directory.ClaimAbandoned(TimeSpan.Zero, Assert.Fail));
        Directory.Delete(Path.Join(_shared.Path, ".running"));
        var client = new SharedClient(pages: 2);
        Assert.True(client.Send(node.Begin(), bursts: 1));

        Assert.True(client.Send(_shared.Node("b")));

        Assert.Single(_shared.Names, "vmcore.web.0");
    }

    [Fact]
    public void A_list_that_is_there_is_not_made_anew_because_an_entry_is()
    {
        var node = _shared.Node("a").Begin();
        var list = node.Directory.Running();

        Assert.Throws<StorageException>(() => node.Directory.Create(node.File!.Identity, node.File.Endpoint, null));

        Assert.Same(list, node.Directory.Running());
        Assert.False(node.File!.IsSuperseded());
    }

    /// <summary>A network file system whose server was restarted, for instance.</summary>
    [Fact]
    public void What_cannot_be_read_of_an_earlier_owner_is_neither_damage_nor_a_hole_and_is_read_when_it_can_be()
    {
        var client = new SharedClient(pages: 4);
        var first = _shared.Node("first").Begin();
        Assert.True(client.Send(first, bursts: 2));
        var heir = _shared.Node("heir");
        Assert.True(client.Send(heir, bursts: 2));
        var file = heir.File!;
        string segment = first.File!.PartialPath;
        File.Move(segment, segment + ".away");
        Directory.CreateDirectory(segment);

        Assert.False(file.Matches(0, client.Content.AsSpan(0, 8192), out string? error));
        Assert.Contains("cannot be read: Is a directory (EISDIR) at offset 0x0", error, StringComparison.Ordinal);
        Assert.Throws<StorageException>(() => file.ReadForSure(new(4096, 12288)));

        Directory.Delete(segment);
        File.Move(segment + ".away", segment);
        Assert.True(file.Matches(0, client.Content.AsSpan(0, 16384), out error), error);
        Assert.False(file.Matches(0, new byte[100], out error));
        Assert.Null(error);
        Assert.True(client.Send(heir));
        _shared.AssertOneDump(client);
    }

    [Fact]
    public void Heralds_are_found_that_another_node_answered()
    {
        var endpoint = new DumpEndpoint(SharedNode.Local, 20023, SharedNode.RemotePort, 20024, 1);
        var herald = new HeraldRecord(Dumps.Client, endpoint, Dumps.StartedAt, [.. "a/b\0"u8]);
        var here = _shared.Node("here").Directory;
        using var theirs = HeraldLedger.Open(_shared.Node("there").Directory, 20023)!;
        using var ours = HeraldLedger.Open(here, 20023)!;
        Assert.True(theirs.TryTake(out int place));
        Assert.True(ours.TryTake(out int older));
        theirs.Write(place, herald);
        ours.Write(older, herald with { At = Dumps.StartedAt.AddHours(-1), Path = [] });

        var found = here.FindHerald(20023, SharedNode.Local, Dumps.Client, SharedNode.RemotePort)!;
        Assert.Equal((herald.At, herald.Endpoint), (found.At, found.Endpoint));
        Assert.Equal(herald.Path, found.Path);
        Assert.Null(here.FindHerald(20023, SharedNode.Local, Dumps.Client, SharedNode.RemotePort + 1));
        Assert.Null(here.FindHerald(20024, SharedNode.Local, Dumps.Client, SharedNode.RemotePort));

        theirs.Clear(place);
        Assert.Equal(Dumps.StartedAt.AddHours(-1), here.FindHerald(20023, SharedNode.Local, Dumps.Client, SharedNode.RemotePort)!.At);
    }
}
