using NetdumpCollector.Storage.Fleet;

namespace NetdumpCollector.Storage.Tests.Fleet;

public sealed class ClusterAddressTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Theory]
    [InlineData("Host=db;Database=netdump", "Host=db;Database=netdump")]
    [InlineData("password=word;HOST=db;Port=5433;database=netdump;Username=me;SSL Password=other", "Host=db;Port=5433;Database=netdump;Username=me")]
    [InlineData("Server=a,b;DB=n;Pwd='w;o'", "Server=a,b;Db=n")]
    public void Only_what_is_no_secret_is_shown(string text, string shown)
    {
        Assert.True(ClusterAddress.TryParse(text, out var address));
        Assert.Equal(shown, $"{address}");
        Assert.Equal(text, address.ConnectionString());
    }

    [Theory]
    [InlineData("postgres://me:word@db/netdump")]
    [InlineData("Host=db")]
    [InlineData("Database=netdump")]
    [InlineData("Host=db;Database")]
    public void What_is_no_connection_string_is_refused(string text) => Assert.False(ClusterAddress.TryParse(text, out _));

    [Fact]
    public void A_file_is_read_anew_each_time()
    {
        string file = Path.Combine(_temp.Path, "cluster");
        File.WriteAllText(file, "Host=db;Database=n;Password=old\n");
        var address = ClusterAddress.FromFile(file);
        File.WriteAllText(file, "Host=db;Database=n;Password=new\n");

        Assert.Equal("Host=db;Database=n;Password=new", address.ConnectionString());
        File.WriteAllText(file, "Password=new");
        var failure = Assert.Throws<FleetException>(address.ConnectionString);
        Assert.Contains($"{file}: it names no Host", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("new", failure.Message, StringComparison.Ordinal);
        File.Delete(file);
        Assert.Contains(file, Assert.Throws<FleetException>(() => ClusterAddress.FromFile(file)).Message, StringComparison.Ordinal);
    }
}
