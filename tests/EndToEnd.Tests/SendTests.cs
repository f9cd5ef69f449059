using System.Runtime.Versioning;
using System.Security.Cryptography;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class SendTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("ephemeral", "linux")]
    [InlineData("shared", "linux")]
    [InlineData("ephemeral", "portable")]
    [InlineData("shared", "portable")]
    public async Task A_kernel_that_loses_packets_leaves_a_complete_and_identical_dump(string endpoint, string transport)
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"), "--endpoint", endpoint, "--transport", transport);
        byte[] content = RandomNumberGenerator.GetBytes(1_500_123);
        File.WriteAllBytes(_temp.File("vmcore"), content);

        (await SendAsync(collector, _temp.File("vmcore"), "--kernel", "--loss", "0.005")).Expect(0);

        var dump = Assert.Single(collector.Dumps);
        Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
        Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)));
        await collector.StopAsync();
    }

    [Theory]
    [InlineData("ephemeral")]
    [InlineData("shared")]
    public async Task Many_hosts_behind_a_bad_network_leave_complete_dumps(string endpoint)
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"), "--endpoint", endpoint);

        (await SendAsync(collector, "--synthetic", "1M", "--clients", "50", "--loss", "0.001", "--duplicate", "0.01", "--reorder", "0.01")).Expect(0);

        Assert.Equal(50, collector.Dumps.Count);
        Assert.All(collector.Dumps, dump => Assert.Equal(DumpStatus.Complete, dump.Manifest.Status));
        await collector.HashedDumpsAsync(50);
        await collector.StopAsync();
        (await Collector.RunAsync("dumps", "verify", "--all", "-d", _temp.File("dumps"))).Expect(0);
    }

    [Theory]
    [InlineData("--order", "12")]
    [InlineData("--no-finish")]
    [InlineData("--payload", "524", "--kernel")]
    public async Task Other_kernels_are_served_too(params string[] options)
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"));
        byte[] content = RandomNumberGenerator.GetBytes(700_000);
        File.WriteAllBytes(_temp.File("vmcore"), content);

        (await SendAsync(collector, [_temp.File("vmcore"), .. options])).Expect(0);

        var dump = (await collector.HashedDumpsAsync(1))[0];
        Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content)), dump.Manifest.Sha256);
    }

    [Fact]
    public async Task An_encrypted_and_compressed_dump_is_stored_as_netdumpd_stores_it()
    {
        await using var collector = await Collector.StartAsync(_temp.File("dumps"));
        byte[] content = RandomNumberGenerator.GetBytes(300_000);
        byte[] key = RandomNumberGenerator.GetBytes(512);
        File.WriteAllBytes(_temp.File("vmcore"), content);
        File.WriteAllBytes(_temp.File("key"), key);

        (await SendAsync(collector, _temp.File("vmcore"), "--compress", "zstd", "--key", _temp.File("key"))).Expect(0);

        var dump = Assert.Single(collector.Dumps);
        Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
        Assert.Equal(_temp.File($"dumps/vmcore_encrypted.{dump.Manifest.Host}.0.zst"), dump.VmcorePath);
        Assert.Equal(content, File.ReadAllBytes(dump.VmcorePath));
        Assert.Equal(key, File.ReadAllBytes(_temp.File($"dumps/key.{dump.Manifest.Host}.0")));
    }

    private static Task<CommandResult> SendAsync(Collector collector, params string[] arguments) => Collector.RunAsync(
        ["send", "--server", collector.Address, "--port", $"{collector.Port}", "--from", Collector.NewClientAddresses().ToString(), .. arguments]);
}
