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
    [InlineData("postgres://me:word@db/netdump", "it is not of the form KEYWORD=VALUE;KEYWORD=VALUE")]
    [InlineData("Host=db", "it names no Database")]
    [InlineData("Database=netdump", "it names no Host")]
    [InlineData("Host=db;Database", "it is not of the form KEYWORD=VALUE;KEYWORD=VALUE")]
    public void What_is_no_connection_string_is_refused(string text, string reason)
    {
        Assert.False(ClusterAddress.TryParse(text, out _));
        Assert.Equal(reason, ClusterAddress.ProblemOf(text));
    }

    [Theory]
    [InlineData("frobnicate=sesame", "the keyword 'frobnicate' is none that PostgreSQL connections have")]
    [InlineData("Port=sesame", "the keyword 'port' has a value that it cannot have")]
    [InlineData("Port=0", "the keyword 'port' has a value that it cannot have")]
    [InlineData("Port=65536", "the keyword 'port' has a value that it cannot have")]
    [InlineData("SSL Mode=sesame", "the keyword 'ssl mode' has a value that it cannot have")]
    public void A_keyword_that_no_connection_takes_is_told_of_without_its_value(string keyword, string problem)
    {
        Assert.True(ClusterAddress.TryParse($"Host=db;Database=netdump;{keyword}", out var address));

        var failure = Assert.Throws<FleetException>(address.Check);

        Assert.True(failure.NeedsOperator);
        Assert.Contains($"{problem} (a value with ; in it stands in quotes); correct it in --cluster", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("sesame", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Keywords_of_every_connection_are_taken()
    {
        Assert.True(ClusterAddress.TryParse("Host=a,b:5433;Port=65535;Database=n;Username=me;Password='w;o';SSL Mode=VerifyFull;Root Certificate=/ca.pem;Target Session Attributes=read-write", out var address));
        address.Check();
    }

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
