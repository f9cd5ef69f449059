namespace NetdumpCollector.Storage.Tests;

public sealed class SmallFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void A_file_up_to_the_limit_is_read_whole()
    {
        byte[] content = [.. Enumerable.Range(0, 100).Select(number => (byte)number)];
        File.WriteAllBytes(Named("file"), content);

        Assert.Equal(content, SmallFile.Read(Named("file"), 100));
        Assert.Equal("has more than 99 bytes", Assert.Throws<IOException>(() => SmallFile.Read(Named("file"), 99)).Message);
    }

    [Theory]
    [InlineData("/dev/zero", "is a device, pipe or socket, and no regular file")]
    [InlineData("/tmp", "is a directory")]
    [InlineData("/nonexistent", "No such file or directory (ENOENT)")]
    public void What_is_no_file_is_told_of(string path, string problem) => Assert.Equal(problem, Assert.Throws<IOException>(() => SmallFile.Read(path, 100)).Message);

    [Fact]
    public async Task A_pipe_is_not_waited_for()
    {
        Make("pipe");

        var failure = await Assert.ThrowsAsync<IOException>(() => Task.Run(() => SmallFile.Read(Named("pipe"), 100)).WaitAsync(TimeSpan.FromSeconds(60)));

        Assert.Equal("is a device, pipe or socket, and no regular file", failure.Message);
    }

    [Fact]
    public async Task A_pipe_is_read_where_it_may_be_one_and_a_device_ends_at_the_limit()
    {
        Make("pipe");

        var reading = Task.Run(() => SmallFile.Read(Named("pipe"), 100, mayBePipe: true));
        await Task.Run(() => File.WriteAllText(Named("pipe"), "secret")).WaitAsync(TimeSpan.FromSeconds(60));

        Assert.Equal("secret"u8.ToArray(), await reading.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal("has more than 100 bytes", Assert.Throws<IOException>(() => SmallFile.Read("/dev/zero", 100, mayBePipe: true)).Message);
    }

    private string Named(string name) => Path.Combine(_temp.Path, name);

    private void Make(string pipe)
    {
        using var mkfifo = System.Diagnostics.Process.Start("mkfifo", Named(pipe));
        mkfifo.WaitForExit();
    }
}
