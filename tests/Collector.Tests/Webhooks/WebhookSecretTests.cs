using NetdumpCollector.Collector.Webhooks;

namespace NetdumpCollector.Collector.Tests.Webhooks;

public sealed class WebhookSecretTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData(new byte[] { 0, 0xff, 0xfe, 0x80, 9, 32 }, 6)]
    [InlineData(new byte[] { 32, 0x61, 10 }, 2)]
    [InlineData(new byte[] { 0x61, 13, 10 }, 1)]
    [InlineData(new byte[] { 0x61, 10, 10 }, 2)]
    [InlineData(new byte[] { 0x61, 13 }, 2)]
    [InlineData(new byte[] { 0xef, 0xbb, 0xbf, 0x61 }, 4)]
    public void It_is_the_files_bytes_without_one_newline_at_the_end(byte[] file, int secretBytes)
    {
        File.WriteAllBytes(_temp.File("secret"), file);
        Assert.Equal(file[..secretBytes], WebhookSecret.Read(_temp.File("secret")));
    }

    [Theory]
    [InlineData(new byte[0], "is empty")]
    [InlineData(new byte[] { 10 }, "is empty")]
    [InlineData(new byte[] { 13, 10 }, "is empty")]
    [InlineData(null, "No such file or directory")]
    public void A_file_without_one_is_complained_of(byte[]? file, string problem)
    {
        if (file is not null)
            File.WriteAllBytes(_temp.File("secret"), file);
        Assert.Contains(problem, Assert.Throws<WebhookSecretException>(() => WebhookSecret.Read(_temp.File("secret"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_secret_is_longer_than_4_KiB()
    {
        File.WriteAllBytes(_temp.File("secret"), new byte[4096]);
        Assert.Equal(4096, WebhookSecret.Read(_temp.File("secret")).Length);
        File.WriteAllBytes(_temp.File("secret"), new byte[4097]);
        Assert.Contains("more than 4096 bytes", Assert.Throws<WebhookSecretException>(() => WebhookSecret.Read(_temp.File("secret"))).Message, StringComparison.Ordinal);
    }
}
