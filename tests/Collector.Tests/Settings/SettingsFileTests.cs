using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Tests.Settings;

public sealed class SettingsFileTests : IDisposable
{
    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public void Comments_and_trailing_commas_are_fine()
    {
        var settings = Load("""
            {
                // where dumps go
                "directory": "/srv/crash", /* the port */ "port": 20123,
                "debug": true,
            }
            """);

        Assert.Equal("/srv/crash", settings.Directory);
        Assert.Equal(20123, settings.Port);
        Assert.True(settings.Debug);
    }

    [Fact]
    public void A_value_that_is_not_allowed_is_told_with_setting_file_value_and_what_is_allowed()
    {
        foreach (var setting in SampleValues.Settings.Where(setting => setting.Kind == SettingKind.Text))
        {
            foreach (string bad in SampleValues.BadOf(setting))
            {
                string problem = ProblemOf($"{{ \"{setting.Name}\": {SampleValues.ToJson(setting, bad)} }}");
                Assert.StartsWith(setting.Name + ":", problem, StringComparison.Ordinal);
                Assert.Contains($"{(setting.Shown is null ? $"\"{bad}\"" : "(not shown)")} from file {_temp.File("settings.json")}", problem, StringComparison.Ordinal);
                Assert.EndsWith($"allowed: {setting.Allowed}", problem, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void A_value_of_another_type_is_refused_for_every_setting()
    {
        foreach (var setting in SampleValues.Settings)
        {
            string[] wrong = setting.Kind switch
            {
                SettingKind.Number => ["\"1\"", "true", "null", "[1]", "{}"],
                SettingKind.Flag => ["\"true\"", "1", "null", "[]", "{}"],
                _ when setting.IsList => ["1", "true", "null", "[1]", "[\"192.0.2.1\", null]", "{}"],
                _ => ["1", "true", "null", "[\"a\"]", "{}"],
            };
            foreach (string json in wrong)
            {
                string problem = ProblemOf($"{{ \"{setting.Name}\": {json} }}");
                Assert.StartsWith(setting.Name + ":", problem, StringComparison.Ordinal);
                Assert.Contains(_temp.File("settings.json"), problem, StringComparison.Ordinal);
                Assert.EndsWith($"allowed: {setting.Allowed}", problem, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("""{ "port": 1.5 }""", "1.5")]
    [InlineData("""{ "port": -1 }""", "-1")]
    [InlineData("""{ "timeout": 86401 }""", "86401")]
    [InlineData("""{ "port": 1, "port": 2 }""", "given twice")]
    [InlineData("""{ "prot": 1 }""", "unknown setting \"prot\"")]
    [InlineData("""{ "Port": 1 }""", "unknown setting \"Port\"")]
    [InlineData("""{ "client_port": 1 }""", "unknown setting \"client_port\"")]
    [InlineData("""{ "config": "b.json" }""", "unknown setting \"config\"")]
    [InlineData("""[ "port" ]""", "an array")]
    [InlineData("""{ "port" }""", "is not JSON")]
    [InlineData("", "is not JSON")]
    public void What_cannot_be_right_is_told(string json, string words) =>
        Assert.Contains(words, ProblemOf(json), StringComparison.Ordinal);

    [Theory]
    [InlineData("port")]
    [InlineData("ab")]
    public void Text_that_is_not_UTF_8_is_told(string text)
    {
        byte[] json = [.. """{ "port": 1, "directory": "ab" }"""u8];
        json[json.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(text))] = 0xff;
        File.WriteAllBytes(_temp.File("settings.json"), json);
        var exception = Assert.Throws<UsageException>(() => Resolve(_temp.File("settings.json")));

        Assert.Contains("is not JSON", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_setting_that_may_be_given_several_times_may_be_an_array()
    {
        var settings = Load("""{ "allow": ["192.0.2.0/24", "198.51.100.1"], "deny": "192.0.2.1,192.0.2.2" }""");

        Assert.Equal("192.0.2.0/24,198.51.100.1", settings.Allowed.ToString());
        Assert.Equal("192.0.2.1,192.0.2.2", settings.Denied.ToString());
    }

    [Fact]
    public void A_file_that_is_not_there_is_told_by_its_path()
    {
        string path = _temp.File("missing.json");
        var exception = Assert.Throws<UsageException>(() => Resolve(path));

        Assert.Contains($"config: cannot read \"{path}\"", exception.Message, StringComparison.Ordinal);
    }

    private static SettingsResolution Resolve(string path) =>
        SettingsResolution.Resolve(new Dictionary<Setting, string> { [SettingsTable.Config] = path }, new Dictionary<string, string>());

    private CollectorSettings Load(string json) => Resolve(_temp.Write("settings.json", json)).ToSettings();

    private string ProblemOf(string json) => Assert.Single(Assert.Throws<UsageException>(() => Load(json)).Problems);
}
