using NetdumpCollector.Collector.Pages;
using NetdumpCollector.Collector.Pages.Components;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class PanicGroupTests
{
    [Fact]
    public async Task Messages_that_differ_by_addresses_are_one_bug()
    {
        DumpView[] dumps =
        [
            Rendering.Dump("web1", "page fault, va = 0x18", 90),
            Rendering.Dump("web2", "page fault, va = 0x2a0", 10),
            Rendering.Dump("web2", "page fault, va = 0x2b0", 20),
            Rendering.Dump("db1", "double fault", 1),
            Rendering.Dump("db2", null, 1),
        ];

        var groups = PanicGroup.Of(dumps);

        Assert.Equal([3, 1], groups.Select(group => group.Count));
        Assert.Equal("page fault, va = 0x2a0", groups[0].Message);
        Assert.Equal(["web2", "web1"], groups[0].Hosts);
        Assert.Equal((Rendering.Now.AddMinutes(-90), Rendering.Now.AddMinutes(-10)), (groups[0].FirstAt, groups[0].LastAt));
        Assert.Equal("/dumps?panic=page%20fault,%20va%20%3D%20%3F", new DumpFilter { Panic = groups[0].Signature }.ToAddress());
        Assert.Equal(3, dumps.Count(new DumpFilter { Panic = groups[0].Signature }.Matches));
        string html = await Rendering.OfAsync<PanicTable>((nameof(PanicTable.Panics), groups), (nameof(PanicTable.Now), Rendering.Now));
        Assert.Contains("web2, web1", html, StringComparison.Ordinal);
        Assert.Contains(">1 h ago</time>", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_the_most_frequent_are_listed_and_only_some_hosts_named()
    {
        var groups = PanicGroup.Of(Enumerable.Range(0, 12).Select(number => Rendering.Dump($"host{number}", "same", number)).Concat(
            Enumerable.Range(0, 20).Select(number => Rendering.Dump("web1", new string('x', number + 1)))));

        string html = await Rendering.OfAsync<PanicTable>((nameof(PanicTable.Panics), groups), (nameof(PanicTable.Now), Rendering.Now));

        Assert.Contains("The 10 most frequent of 21 panics", html, StringComparison.Ordinal);
        Assert.Contains("host0, host1, host2 and 9 more", html, StringComparison.Ordinal);
    }
}
