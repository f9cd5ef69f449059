using NetdumpCollector.Collector.Settings;
using NetdumpCollector.Protocol.Storm;

namespace NetdumpCollector.Collector.Tests.Settings;

public sealed class KeepSettingTests
{
    [Theory]
    [InlineData("full", "full")]
    [InlineData("head:8K", "head:8192")]
    [InlineData("head:2M", "head:2097152")]
    [InlineData("auto", "auto:3")]
    [InlineData("auto:10", "auto:10")]
    public void Keep_takes_what_it_says(string text, string name)
    {
        Assert.True(SettingValues.TryKeep(text, out var policy));
        Assert.Equal(name, policy.Name);
    }

    [Fact]
    public void The_words_for_what_is_allowed_name_the_true_limits()
    {
        string allowed = SettingsTable.Keep.Allowed;
        Assert.Contains($"at least {KeepPolicy.MinHeadBytes / 1024}K", allowed, StringComparison.Ordinal);
        Assert.Contains($"to {KeepPolicy.MaxFullPerHour}", allowed, StringComparison.Ordinal);
        Assert.Contains($"({KeepPolicy.DefaultFullPerHour})", SettingsTable.Keep.Help, StringComparison.Ordinal);
        Assert.Contains($"{KeepPolicy.AutoHeadBytes >> 20} MiB", SettingsTable.Keep.Help, StringComparison.Ordinal);
    }
}
