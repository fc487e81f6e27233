package org.elasticsearch.plugins;

import java.util.List;

/**
 * What OpenSearch looks up by this name to let a plugin see the classes of plugins it extends; the
 * jar that has it is not published for every version.
 */
public final class ExtendedPluginsClassLoader extends ClassLoader {

    private final List<ClassLoader> extended;

    private ExtendedPluginsClassLoader(ClassLoader parent, List<ClassLoader> extended) {
        super(parent);
        this.extended = extended;
    }

    public static ExtendedPluginsClassLoader create(ClassLoader parent, List<ClassLoader> extended) {
        return new ExtendedPluginsClassLoader(parent, extended);
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
        for (ClassLoader loader : extended) {
            try {
                return loader.loadClass(name);
            } catch (ClassNotFoundException elsewhere) {
                continue;
            }
        }
        throw new ClassNotFoundException(name);
    }
}
