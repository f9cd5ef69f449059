using System.Runtime.Versioning;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class KeepTests : IDisposable
{
    private const long Mebibyte = 1 << 20;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task Of_dumps_with_the_same_panic_the_first_are_whole_and_of_the_others_the_head_is_kept(string endpoint)
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"), "--endpoint", endpoint, "--keep", "auto:2");
        for (int i = 0; i < 4; i++)
            (await SendAsync(collector, "--synthetic", "5M")).Expect(0);

        DumpStatus[] statuses = [.. collector.Dumps.Select(dump => dump.Manifest.Status).Order()];
        Assert.Equal([DumpStatus.Complete, DumpStatus.Complete, DumpStatus.Truncated, DumpStatus.Truncated], statuses);
        Assert.All(collector.Dumps.Where(dump => dump.Manifest.Status == DumpStatus.Truncated), dump =>
        {
            Assert.Equal("auto:2", dump.Manifest.TruncatedBy);
            Assert.Equal(Mebibyte, new FileInfo(dump.VmcorePath).Length);
            Assert.Equal(((ulong)Mebibyte, 4ul * Mebibyte), (dump.Manifest.CoveredBytes, dump.Manifest.MissingBytes));
            Assert.Contains("Dump truncated by policy (auto:2)", File.ReadAllText(dump.InfoPath), StringComparison.Ordinal);
        });
        await collector.PrintsAsync("Finished, stored 1048576 of 5242880 known bytes by policy auto:2");
        Assert.DoesNotContain("missing", collector.Output, StringComparison.Ordinal);
        var whole = collector.Dumps.First(dump => dump.Manifest.Status == DumpStatus.Complete);
        var head = collector.Dumps.First(dump => dump.Manifest.Status == DumpStatus.Truncated);
        Assert.True(File.ReadAllBytes(whole.VmcorePath).AsSpan(0, (int)Mebibyte).SequenceEqual(File.ReadAllBytes(head.VmcorePath)));
    }

    [Theory]
    [InlineData("--payload", "524")]
    [InlineData("--loss", "0.01", "--kernel")]
    public async Task The_head_of_a_dump_is_what_was_sent_whatever_the_packets_are_like(params string[] options)
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"), "--keep", "head:300001");
        byte[] content = System.Security.Cryptography.RandomNumberGenerator.GetBytes(700_000);
        File.WriteAllBytes(_temp.File("vmcore"), content);

        (await SendAsync(collector, [_temp.File("vmcore"), .. options])).Expect(0);

        var dump = Assert.Single(collector.Dumps);
        Assert.Equal((DumpStatus.Truncated, "head:300001"), (dump.Manifest.Status, dump.Manifest.TruncatedBy));
        byte[] kept = File.ReadAllBytes(dump.VmcorePath);
        Assert.InRange(kept.Length, 300_001, 300_001 + 65536);
        Assert.True(content.AsSpan(0, kept.Length).SequenceEqual(kept));
    }

    private static Task<CommandResult> SendAsync(Collector collector, params string[] arguments) => Collector.RunAsync(
        ["send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), .. arguments]);
}
