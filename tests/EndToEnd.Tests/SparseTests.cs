using System.Globalization;
using System.Runtime.Versioning;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.EndToEnd.Tests;

[UnsupportedOSPlatform("windows")]
public sealed class SparseTests : IDisposable
{
    private const int PageBytes = 4096;

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    /// <summary>The client waits for each ack, so that no batch of the server has a whole page.</summary>
    [Theory]
    [InlineData("ephemeral", false)]
    [InlineData("shared", false)]
    [InlineData("ephemeral", true)]
    public async Task Pages_of_zeros_take_no_room_when_packets_come_one_by_one(string endpoint, bool killed)
    {
        // A length that ends inside a packet and a page, after zeros.
        byte[] content = new byte[(300 * PageBytes) + 100];
        int[] held = [0, 1, 2, 100, 101, 299];
        foreach (int page in held)
            content[(page * PageBytes) + (page * 17 % PageBytes)] = 1;
        string[] arguments = ["--sparse", "--endpoint", endpoint];
        var collector = await Collector.StartAsync(_temp.File("dumps"), arguments);
        try
        {
            using var client = new PatientClient(Collector.NewClientAddresses(), collector.Address, collector.Port, content, payloadBytes: 1448);
            for (int packet = 0; packet < client.Packets.Count; packet++)
            {
                if (killed && packet % 150 == 149)
                {
                    await collector.KillAsync();
                    await collector.DisposeAsync();
                    collector = await Collector.StartAtAsync(collector.Address, collector.Port, _temp.File("dumps"), arguments);
                }

                client.SendUntilAcked(packet);
            }

            var dump = Assert.Single(await collector.HashedDumpsAsync(1));
            Assert.Equal(DumpStatus.Complete, dump.Manifest.Status);
            Assert.True(content.AsSpan().SequenceEqual(File.ReadAllBytes(dump.VmcorePath)));
            // One block more is the file system's where it notes the extents of the file apart.
            Assert.InRange(await AllocatedBytesAsync(dump.VmcorePath), held.Length * PageBytes, (held.Length + 1) * PageBytes);
        }
        finally
        {
            await collector.DisposeAsync();
        }
    }

    private static async Task<long> AllocatedBytesAsync(string path)
    {
        string blocks = (await CommandResult.RunAsync("stat", ["-c", "%b", path])).Expect(0).Output;
        return long.Parse(blocks, CultureInfo.InvariantCulture) * 512;
    }
}
