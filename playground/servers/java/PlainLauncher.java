package playground;

import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;

/**
 * A node of Elasticsearch 7 or of OpenSearch in a plain JVM: no security manager, no Java agent.
 *
 * <p>Its arguments are the home (holds modules/) and the directory of the settings. Closes the node
 * in order on SIGTERM.
 */
public final class PlainLauncher {

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.registerErrorListener();
        Settings home = Settings.builder().put("path.home", arguments[0]).build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(home, Map.of(), Path.of(arguments[1]), () -> "playground");
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment);
        Node node = new Node(environment);
        CountDownLatch end = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, end), "playground-close"));
        node.start();
        end.await();
    }

    private static void close(Node node, CountDownLatch end) {
        try {
            node.close();
        } catch (Exception problem) {
            problem.printStackTrace();
        } finally {
            end.countDown();
        }
    }
}
