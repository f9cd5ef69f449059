using NetdumpCollector.Collector.Pages.Components;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Collector.Tests.Pages;

public sealed class DumpPageTests
{
    private static readonly Manifest s_manifest = new()
    {
        Id = "20261121T113000Z-5f3a9c1e",
        Client = "10.0.0.1",
        Host = "web1",
        Index = 4,
        StartedAt = Rendering.Now.AddMinutes(-30),
        EndedAt = Rendering.Now.AddMinutes(-29),
        DurationSeconds = 62,
        Status = DumpStatus.Complete,
        Reason = EndReason.Finished,
        Bytes = 8192,
        CoveredBytes = 8192,
        Endpoint = new("ephemeral", "192.0.2.1", 20100),
        Packets = 7,
        Retransmissions = 1,
        Bursts = 2,
        QuietBursts = 1,
        Acks = 7,
        Rejected = 3,
        PayloadBytes = 8192,
        PacketPayloadBytes = 1448,
        Missing = [],
        MissingBytes = 0,
        MissingRanges = 0,
        Damaged = [],
        Overwritten = [],
        Relocated = false,
        HashState = HashState.Pending,
        Files = new("vmcore.web1.4", "info.web1.4", null),
    };

    [Fact]
    public async Task It_tells_all_that_the_manifest_does()
    {
        string html = await PageAsync(s_manifest with { Pinned = true, Files = s_manifest.Files with { Key = "key.web1.4" }, Script = new("/usr/bin/notify", "success", 3, false, Rendering.Now, 1.5) });

        foreach (string words in (string[])["<h1>Dump <bdi>web1.4</bdi></h1>", "</span> complete</span>: the client said that it had finished.", "Retention never deletes it", "No panic message came.", "web1 (10.0.0.1)",
            "2026-11-21 11:30:00 UTC, 30 min ago", "1 min 2 s", "8.0 KiB (8192 bytes), of which 8192 came", "none came", "is being computed", "/usr/bin/notify ended with code 3 after 1.5 s",
            "192.0.2.1 port 20100 (ephemeral)", "7 packets, 1 repeated, 3 rejected; 2 bursts, 1 of them with a gap", "/var/crash/vmcore.web1.4", "/var/crash/info.web1.4", "/var/crash/key.web1.4",
            "href=\"/api/v1/dumps/20261121T113000Z-5f3a9c1e\"", "netdump-collector dumps verify 20261121T113000Z-5f3a9c1e -d /var/crash"])
        {
            Assert.Contains(words, html, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("Missing bytes", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_valid_header_nobody_knows_what_is_missing_and_the_page_says_so()
    {
        const string Words = "not known: the header that ends a dump";
        var header = new ManifestKdh
        {
            Valid = true,
            ParityPasses = true,
            Magic = "FreeBSD Kernel Dump",
            Architecture = "amd64",
            Version = 4,
            ArchitectureVersion = 2,
            DumpLength = 8192,
            DumpTime = Rendering.Now,
            DumpKeySize = 0,
            BlockSize = 4096,
            Compression = "none",
            Hostname = "web1",
            VersionString = "FreeBSD 14",
            PanicString = "page fault",
        };

        Assert.Contains(Words, await PageAsync(s_manifest with { Status = DumpStatus.Incomplete, Reason = EndReason.ClientTimedOut, Kdh = null }), StringComparison.Ordinal);
        Assert.Contains(Words, await PageAsync(s_manifest with { Status = DumpStatus.Headerless, Kdh = header with { Valid = false } }), StringComparison.Ordinal);
        Assert.DoesNotContain(Words, await PageAsync(s_manifest with { Kdh = header }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dump_that_has_not_ended_has_a_page_that_becomes_the_ended_ones()
    {
        var dump = Rendering.Dump("web1", panic: null, status: "receiving");

        string html = await Rendering.OfAsync<UnendedDumpPage>((nameof(UnendedDumpPage.Collector), Rendering.Collector()), (nameof(UnendedDumpPage.Dump), dump));

        Assert.Contains("still arriving", html, StringComparison.Ordinal);
        Assert.Contains("<div id=\"dump\" data-live>", html, StringComparison.Ordinal);
        Assert.Contains("<div id=\"dump\" data-live>", await PageAsync(s_manifest), StringComparison.Ordinal);
        Assert.Contains("no collector receives it now", await Rendering.OfAsync<UnendedDumpPage>((nameof(UnendedDumpPage.Collector), Rendering.Collector()), (nameof(UnendedDumpPage.Dump), dump with { Status = "interrupted" })), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_panic_of_a_dump_that_has_not_ended_is_not_known_yet()
    {
        async Task<string> TableAsync(string status) => await Rendering.OfAsync<DumpTable>((nameof(DumpTable.Dumps), new[] { Rendering.Dump("web1", panic: null, status: status) }), (nameof(DumpTable.Caption), ""), (nameof(DumpTable.Now), Rendering.Now));

        Assert.Contains("not known yet", await TableAsync("receiving"), StringComparison.Ordinal);
        Assert.Contains("none came", await TableAsync("incomplete"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_missing_is_listed_up_to_a_limit()
    {
        string html = await PageAsync(s_manifest with
        {
            Status = DumpStatus.Incomplete,
            Reason = EndReason.ClientTimedOut,
            Error = "no <answer>",
            Missing = [.. Enumerable.Range(0, 30).Select(number => new ByteRange((ulong)number * 100, (ulong)number * 100 + 50))],
            MissingBytes = 2500,
            MissingRanges = 50,
        });

        Assert.Contains("</span> incomplete</span>: the client fell silent.", html, StringComparison.Ordinal);
        Assert.Contains("<bdi>no &lt;answer&gt;</bdi>", html, StringComparison.Ordinal);
        Assert.Contains("2500 bytes (2.4 KiB) in 50 ranges, the first of them", html, StringComparison.Ordinal);
        Assert.Contains("<li>1900 to 1949, 50 bytes</li>", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<li>2000", html, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Texts_of_the_host_stay_text()
    {
        string html = await PageAsync(s_manifest with
        {
            Kdh = new()
            {
                Valid = true,
                ParityPasses = true,
                Magic = "FreeBSD Kernel Dump",
                Architecture = "<i>",
                Version = 4,
                ArchitectureVersion = 2,
                DumpLength = 8192,
                DumpTime = Rendering.Now,
                DumpKeySize = 0,
                BlockSize = 512,
                Compression = "none",
                Hostname = "<u>web1</u>",
                VersionString = "<b>FreeBSD</b>",
                PanicString = "<script>alert(1)</script>",
            },
        });

        Assert.DoesNotMatch("<script>|<u>|<b>|<i>", html);
        Assert.Contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi>", html, StringComparison.Ordinal);
        Assert.Contains("it crossed the network in clear", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, "href=\"/api/v1/dumps/20261121T113000Z-5f3a9c1e/vmcore\"", "--token-file")]
    [InlineData(false, "Without <kbd>--token-file</kbd> nobody reads dumps over HTTP.", "/vmcore\"")]
    public async Task It_leads_to_the_download_where_somebody_may_have_it(bool hasTokens, string present, string absent)
    {
        string html = await PageAsync(s_manifest, hasTokens);

        Assert.Contains(present, html, StringComparison.Ordinal);
        Assert.DoesNotContain(absent, html, StringComparison.Ordinal);
    }

    private static Task<string> PageAsync(Manifest manifest, bool hasTokens = false) => Rendering.OfAsync<DumpPage>(
        (nameof(DumpPage.Collector), Rendering.Collector()), (nameof(DumpPage.Dump), new CatalogedDump("/var/crash/dump.web1.4.json", manifest)), (nameof(DumpPage.HasTokens), hasTokens));
}
