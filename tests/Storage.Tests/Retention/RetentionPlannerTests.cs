using FsCheck;
using FsCheck.Fluent;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Storage.Tests.Retention;

public sealed class RetentionPlannerTests
{
    private static readonly DateTimeOffset s_now = StoredDumps.Now;

    [Fact]
    public void Without_a_policy_everything_stays() =>
        Assert.Empty(RetentionPlanner.Plan([Dump("web", 100_000), Dump("web", 1)], new(), s_now));

    [Fact]
    public void Dumps_go_that_are_older_than_the_age()
    {
        RetentionCandidate[] all = [Dump("web", 50), Dump("web", 49), Dump("web", 48), Dump("web", 1)];

        var removals = RetentionPlanner.Plan(all, new() { MaxAge = TimeSpan.FromDays(2) }, s_now);

        Assert.Equal(all[..2], removals.Select(removal => removal.Candidate));
        Assert.All(removals, removal => Assert.Equal(RemovalCause.Age, removal.Cause));
        Assert.Equal("it started 2.08 days ago and dumps are kept for 2 days", removals[0].Reason);
    }

    [Theory]
    [InlineData(1, "1 second")]
    [InlineData(90, "1.5 minutes")]
    [InlineData(7_200, "2 hours")]
    [InlineData(86_400, "1 day")]
    [InlineData(2_592_000, "30 days")]
    public void The_reason_tells_ages_in_a_unit_that_fits(long seconds, string age)
    {
        var removals = RetentionPlanner.Plan([Dump("web", 100_000), Dump("web", 1)], new() { MaxAge = TimeSpan.FromSeconds(seconds) }, s_now);

        Assert.EndsWith($" ago and dumps are kept for {age}", removals[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Dumps_go_that_enough_newer_ones_of_the_same_host_have_followed()
    {
        RetentionCandidate[] all = [Dump("web", 4), Dump("db", 5), Dump("web", 3), Dump("web", 2), Dump("web", 1)];

        var removals = RetentionPlanner.Plan(all, new() { MaxPerHost = 2 }, s_now);

        Assert.Equal([all[0], all[2]], removals.Select(removal => removal.Candidate));
        Assert.Equal("web has 3 newer ones and 2 are kept", removals[0].Reason);
    }

    [Fact]
    public void The_oldest_go_until_the_rest_takes_no_more_than_the_size()
    {
        RetentionCandidate[] all = [Dump("web", 4, bytes: 10), Dump("web", 3, bytes: 10), Dump("web", 2, bytes: 10), Dump("web", 1, bytes: 10)];

        Assert.Equal(all[..2], RetentionPlanner.Plan(all, new() { MaxTotalBytes = 29 }, s_now).Select(removal => removal.Candidate));
        Assert.Empty(RetentionPlanner.Plan(all, new() { MaxTotalBytes = 40 }, s_now));
    }

    [Fact]
    public void The_newest_complete_dump_stays_also_when_others_followed()
    {
        RetentionCandidate[] all = [Dump("web", 9), Dump("web", 8), Dump("web", 2, DumpStatus.Incomplete), Dump("web", 1, DumpStatus.Damaged)];

        var removals = RetentionPlanner.Plan(all, new() { MaxAge = TimeSpan.FromMinutes(1), MaxPerHost = 1, MaxTotalBytes = 1 }, s_now);

        Assert.Equal([all[0], all[2], all[3]], removals.Select(removal => removal.Candidate));
    }

    [Fact]
    public void A_complete_dump_whose_vmcore_is_gone_is_no_hosts_newest()
    {
        RetentionCandidate[] all = [Dump("web", 9), Dump("web", 1) with { HasCore = false }];

        Assert.Equal(all[1], Assert.Single(RetentionPlanner.Plan(all, new() { MaxAge = TimeSpan.FromMinutes(1) }, s_now)).Candidate);
    }

    [Fact]
    public void A_client_that_claims_an_immense_length_pushes_nobody_out()
    {
        var huge = Dump("evil", 1, DumpStatus.Incomplete);
        huge = huge with { Dump = huge.Dump with { Manifest = huge.Dump.Manifest with { Bytes = ulong.MaxValue, CoveredBytes = 1448 } } };

        Assert.Empty(RetentionPlanner.Plan([Dump("web", 3, bytes: 10), Dump("web", 2, bytes: 10), huge], new() { MaxTotalBytes = 5000 }, s_now));
    }

    [Fact]
    public void Room_is_made_by_the_oldest_that_are_there_or_not_at_all()
    {
        RetentionCandidate[] all = [.. Enumerable.Range(0, 4).Select(i => Dump("web", 9 - i, DumpStatus.Incomplete, 10, i))];

        Assert.Equal(all[1..3], RetentionPlanner.PlanRoom(all, candidate => candidate != all[0], 11).Select(removal => removal.Candidate));
        Assert.Empty(RetentionPlanner.PlanRoom(all, candidate => candidate != all[0], 31));
        Assert.Empty(RetentionPlanner.PlanRoom(all, _ => true, 0));
    }

    [Fact]
    public void No_policy_touches_what_must_stay() => ForAll((all, policy) =>
    {
        var going = RetentionPlanner.Plan(all, policy, s_now).Concat(RetentionPlanner.PlanRoom(all, _ => true, policy.MaxTotalBytes ?? 1)).Select(removal => removal.Candidate).ToHashSet();
        foreach (var host in all.GroupBy(candidate => candidate.Dump.Manifest.Host))
        {
            var newest = Sorted(host).LastOrDefault(candidate => candidate.Dump.Manifest.Status == DumpStatus.Complete && candidate.HasCore);
            Assert.True(newest is null || !going.Contains(newest));
        }

        Assert.DoesNotContain(going, candidate => candidate.Dump.Manifest.Pinned || candidate.IsInUse);
    });

    [Fact]
    public void Age_and_count_take_exactly_what_they_say_and_all_go_in_order() => ForAll((all, policy) =>
    {
        var removals = RetentionPlanner.Plan(all, policy, s_now);
        foreach (var candidate in all.Where(candidate => RetentionPlanner.ProtectionOf(candidate, all) is null))
        {
            var manifest = candidate.Dump.Manifest;
            bool isOld = s_now - manifest.StartedAt > policy.MaxAge;
            bool isOneTooMany = Sorted(all.Where(other => other.Dump.Manifest.Host == manifest.Host)).Reverse().TakeWhile(other => other != candidate).Count() >= policy.MaxPerHost;
            var cause = removals.SingleOrDefault(removal => removal.Candidate == candidate)?.Cause;
            Assert.Equal(isOld || isOneTooMany, cause is RemovalCause.Age or RemovalCause.Count);
        }

        Assert.Equal(Sorted(removals.Select(removal => removal.Candidate)), removals.Select(removal => removal.Candidate));
    });

    [Fact]
    public void For_size_the_oldest_go_and_no_more_than_needed() => ForAll((all, policy) =>
    {
        var removals = RetentionPlanner.Plan(all, policy, s_now);
        RetentionCandidate[] forSize = [.. removals.Where(removal => removal.Cause == RemovalCause.TotalSize).Select(removal => removal.Candidate)];
        RetentionCandidate[] kept = [.. all.Except(removals.Select(removal => removal.Candidate))];
        RetentionCandidate[] mayGo = [.. kept.Where(candidate => RetentionPlanner.ProtectionOf(candidate, all) is null)];
        long keptBytes = kept.Sum(candidate => candidate.Bytes);
        if (policy.MaxTotalBytes is not long limit)
        {
            Assert.Empty(forSize);
            return;
        }

        Assert.True(keptBytes <= limit || mayGo.Length == 0, "too much is kept");
        if (forSize.Length > 0)
        {
            Assert.True(keptBytes + forSize[^1].Bytes > limit, "one went needlessly");
            Assert.All(mayGo, candidate => Assert.Equal(candidate, Sorted([candidate, forSize[^1]]).Last()));
        }
    });

    [Fact]
    public void Room_is_made_by_as_few_of_the_oldest_as_suffice() => ForAll((all, policy) =>
    {
        long wanted = (policy.MaxTotalBytes ?? 0) + 1;
        RetentionCandidate[] mayGo = [.. Sorted(all.Where(candidate => RetentionPlanner.ProtectionOf(candidate, all) is null && candidate.Bytes > 0))];
        RetentionCandidate[] going = [.. RetentionPlanner.PlanRoom(all, _ => true, wanted).Select(removal => removal.Candidate)];

        Assert.Equal(mayGo.Take(going.Length), going);
        if (mayGo.Sum(candidate => candidate.Bytes) < wanted)
            Assert.Empty(going);
        else
            Assert.True(going.Sum(candidate => candidate.Bytes) >= wanted && going.SkipLast(1).Sum(candidate => candidate.Bytes) < wanted);
    });

    [Fact]
    public void Applied_again_a_policy_finds_nothing_more() => ForAll((all, policy) =>
    {
        RetentionCandidate[] left = [.. all.Except(RetentionPlanner.Plan(all, policy, s_now).Select(removal => removal.Candidate))];
        Assert.Empty(RetentionPlanner.Plan(left, policy, s_now));
    });

    private static IEnumerable<RetentionCandidate> Sorted(IEnumerable<RetentionCandidate> all) =>
        all.OrderBy(candidate => candidate.Dump.Manifest.StartedAt).ThenBy(candidate => candidate.Dump.Manifest.Id, StringComparer.Ordinal);

    private static RetentionCandidate Dump(string host, int hoursOld, DumpStatus status = DumpStatus.Complete, int bytes = 100, int number = 0)
    {
        var summary = Dumps.Complete((ulong)bytes) with { Status = status };
        var startedAt = s_now.AddHours(-hoursOld);
        var manifest = Manifest.Of(new($"{number:x8}", Dumps.Client, startedAt), CoreNames.Of(summary, host, number), summary, Dumps.Circumstances(host), bytes);
        return new(new($"/dumps/dump.{host}.{number}.json", manifest), HasCore: true, IsInUse: false);
    }

    private static void ForAll(Action<RetentionCandidate[], RetentionPolicy> property)
    {
        var dump = from host in Gen.Elements("a", "b", "c")
                   from age in Gen.Choose(-2, 12)
                   from status in Gen.Elements(Enum.GetValues<DumpStatus>())
                   from bytes in Gen.Choose(0, 10)
                   from kind in Gen.Choose(0, 11)
                   select (host, age, status, bytes, kind);
        var dumps = dump.ListOf().Select(list => list.Select((one, number) =>
        {
            var made = Dump(one.host, one.age, one.status, one.bytes, number);
            return made with
            {
                Dump = made.Dump with { Manifest = made.Dump.Manifest with { Pinned = one.kind == 0 } },
                IsInUse = one.kind == 1,
                HasCore = one.kind != 2,
            };
        }).ToArray());
        var policies = from age in Gen.Choose(-3, 12)
                       from count in Gen.Choose(-2, 4)
                       from bytes in Gen.Choose(-20, 60)
                       select new RetentionPolicy
                       {
                           MaxAge = age < 0 ? null : TimeSpan.FromHours(age),
                           MaxPerHost = count < 1 ? null : count,
                           MaxTotalBytes = bytes < 0 ? null : bytes,
                       };
        var cases = from all in dumps from policy in policies select (all, policy);
        Prop.ForAll(cases.ToArbitrary(), one => property(one.all, one.policy)).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }
}
