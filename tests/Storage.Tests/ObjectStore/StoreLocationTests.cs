using NetdumpCollector.Storage.ObjectStore;

namespace NetdumpCollector.Storage.Tests.ObjectStore;

public sealed class StoreLocationTests
{
    [Theory]
    [InlineData("s3://crashes", "crashes", "")]
    [InlineData("s3://crashes/", "crashes", "")]
    [InlineData("s3://crashes/lab", "crashes", "lab/")]
    [InlineData("s3://my.bucket-1/a/b_c=d/", "my.bucket-1", "a/b_c=d/")]
    public void An_address_names_a_bucket_and_a_prefix(string text, string bucket, string prefix)
    {
        Assert.True(StoreLocation.TryParse(text, out var location));
        Assert.Equal((bucket, prefix), (location.Bucket, location.Prefix));
    }

    [Theory]
    [InlineData("")]
    [InlineData("crashes/lab")]
    [InlineData("s3://")]
    [InlineData("s3://ab")]
    [InlineData("s3://Crashes")]
    [InlineData("s3://-crashes")]
    [InlineData("s3://crashes//lab")]
    [InlineData("s3://crashes/../lab")]
    [InlineData("s3://crashes/a b")]
    [InlineData("s3://crashes/a?b")]
    [InlineData("http://crashes/lab")]
    public void Anything_else_is_refused(string text) => Assert.False(StoreLocation.TryParse(text, out _));
}
